//! A file in the address space of the process. The only unsafe code of this crate.

use crate::error::{Error, Result};
use crate::file_rows::{Bytes, OpenFile};
use memmap2::Mmap;

/// An open file and its pages.
///
/// # Safety
/// The pages are lent out as `&[u8]`, which promises that nobody changes them meanwhile. This process does not: the mapping is
/// private and read-only, and the file was opened for reading. Another process can, and there is no way to stop it:
///
/// * It writes to the file: bytes may change between two looks at them. They are decoded, each once, to numbers whose every bit pattern
///   is a value, and never read as a length, an index or a reference; so a number may be wrong in a read that the next
///   [`check_unchanged`](Bytes::check_unchanged) refuses, and nothing worse follows.
/// * It cuts the file short: touching a page past the new end kills the process (`SIGBUS`; an exception on Windows, which as a rule
///   does not let a mapped file shrink). That is no undefined behaviour, but it is no error either. The length is checked before
///   every read, which leaves the time of the read itself. Whoever can't rule that out uses [`NpyRows`](crate::NpyRows).
#[derive(Debug)]
pub(crate) struct MappedFile {
    file: OpenFile,
    map: Mmap,
}

impl MappedFile {
    /// Maps all of the file.
    pub(crate) fn of(file: OpenFile) -> Result<Self> {
        // SAFETY: see the type.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(file.handle()) };
        let map = map.map_err(|e| Error::io(file.path(), "map", e))?;
        Ok(MappedFile { file, map })
    }
}

impl Bytes for MappedFile {
    fn with_bytes<T>(&self, offset: u64, length: usize, use_bytes: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.map.get(start..start.checked_add(length)?));
        // the mapping has the length that the file had when it was opened
        use_bytes(bytes.ok_or_else(|| self.file.changed("shrank"))?)
    }

    fn check_unchanged(&self) -> Result<()> {
        self.file.check_unchanged()
    }
}
