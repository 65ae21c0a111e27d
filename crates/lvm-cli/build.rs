//! With the feature `deep`, tells the program where libtorch lies.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(lib) = std::env::var_os("DEP_LVM_DEEP_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{}", lib.display());
        // what `lvm doctor` tells
        println!("cargo::rustc-env=LVM_LIBTORCH_LIB={}", lib.display());
    }
}
