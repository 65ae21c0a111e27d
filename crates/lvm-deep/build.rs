//! Tells programs where libtorch lies, so that they run without a variable being set.
//!
//! Three ways, for three readers: an rpath for this package's own tests and examples; `DEP_LVM_DEEP_LIBTORCH_LIB` for the build scripts of
//! packages that depend on this one and want an rpath too; and links to the libraries in a folder of the target directory, which cargo puts
//! into the library path of everything it runs itself (`cargo run`, `cargo test`), in any package.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys says where it found libtorch; nothing for docs.rs
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else { return };
    println!("cargo::metadata=libtorch_lib={}", lib.display());
    // where src/device.rs looks for libtorch_cuda, besides other places
    println!("cargo::rustc-env=LVM_LIBTORCH_LIB={}", lib.display());
    if cfg!(unix) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
        if let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) {
            link_libraries(&lib, &out.join("libtorch"));
        }
    }
}

/// Fills `folder` with symbolic links to libtorch's libraries and those it needs from NVIDIA's wheels.
fn link_libraries(lib: &Path, folder: &Path) {
    let beside = lib.join("../../nvidia/cu13/lib");
    let _ = std::fs::create_dir_all(folder);
    for source in [lib, beside.as_path()] {
        for file in std::fs::read_dir(source).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().contains(".so") {
                let link = folder.join(file.file_name());
                let _ = std::fs::remove_file(&link);
                #[cfg(unix)]
                let _ = std::os::unix::fs::symlink(file.path(), link);
            }
        }
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
}
