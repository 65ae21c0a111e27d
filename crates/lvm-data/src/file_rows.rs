//! A file that is read at many places by several threads, and must not change meanwhile.

use crate::error::{Error, ErrorKind, Result};
use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// Where the bytes of a file come from.
pub(crate) trait Bytes {
    /// Hands `use_bytes` the bytes `offset .. offset + length`.
    fn with_bytes<T>(&self, offset: u64, length: usize, use_bytes: impl FnOnce(&[u8]) -> Result<T>) -> Result<T>;
    /// An error if the file is not the one that was opened.
    fn check_unchanged(&self) -> Result<()>;
}

/// An open file that remembers what it was when it was opened.
///
/// Reads are positioned reads into buffers that are kept for the next one. A mapping is hardly faster, since every block is copied
/// column by column anyway, and a file that shrinks under a mapping kills the program: [`MappedFile`](crate::mapped_file::MappedFile)
/// is for those who ask for it.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    file: File,
    length: u64,
    modified: Option<SystemTime>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl OpenFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let metadata = file.metadata().map_err(|e| Error::io(path, "read", e))?;
        if !metadata.is_file() {
            return Err(Error::format(path, "rows can only be read from a regular file, since they are read many times"));
        }
        let (length, modified) = state(&metadata);
        Ok(OpenFile { path: path.to_path_buf(), file, length, modified, buffers: Mutex::default() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The file for one pass from its start.
    pub(crate) fn rewound(&self) -> Result<&File> {
        (&self.file).rewind().map_err(|e| Error::io(&self.path, "read", e))?;
        Ok(&self.file)
    }

    /// The file itself.
    pub(crate) fn handle(&self) -> &File {
        &self.file
    }

    pub(crate) fn changed(&self, what: &'static str) -> Error {
        Error::new(&self.path, ErrorKind::Changed { what })
    }

    /// The spare buffers; a panic elsewhere can't leave them in a state that matters.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Bytes for OpenFile {
    fn with_bytes<T>(&self, offset: u64, length: usize, use_bytes: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        let mut buffer = self.lock().pop().unwrap_or_default();
        buffer.resize(length, 0);
        let result = match read_at(&self.file, &mut buffer, offset) {
            Ok(()) => use_bytes(&buffer),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.changed("shrank")),
            Err(e) => Err(Error::io(&self.path, "read", e)),
        };
        self.lock().push(buffer);
        result
    }

    fn check_unchanged(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|e| Error::io(&self.path, "read", e))?;
        let (length, modified) = state(&metadata);
        if length < self.length {
            return Err(self.changed("shrank"));
        }
        if length > self.length {
            return Err(self.changed("grew"));
        }
        if modified != self.modified {
            return Err(self.changed("was written to"));
        }
        Ok(())
    }
}

fn state(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buffer = &mut buffer[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}
