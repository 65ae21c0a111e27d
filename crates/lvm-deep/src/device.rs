//! Where tensors live, and what was found out about it.
//!
//! One build serves CPU and GPU: it is linked with libtorch's CPU libraries alone, and libtorch_cuda is loaded when a GPU is first asked for.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The device asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A GPU where there is one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, from 0.
    Cuda(usize),
}

impl Device {
    /// The device as libtorch knows it.
    ///
    /// # Errors
    /// If a GPU was asked for that is not there; the message says which library is missing and where it was looked for.
    pub fn resolve(self) -> Result<tch::Device> {
        match self {
            Device::Cpu => Ok(tch::Device::Cpu),
            Device::Auto => Ok(if cuda().devices > 0 { tch::Device::Cuda(0) } else { tch::Device::Cpu }),
            Device::Cuda(index) if (index as i64) < cuda().devices => Ok(tch::Device::Cuda(index)),
            Device::Cuda(index) => Err(Error::config("device", format!("cuda:{index} can't be used. {}", cuda().explanation()))),
        }
    }
}

/// One place that was tried for libtorch_cuda.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The file.
    pub path: PathBuf,
    /// Why it was of no use; `None`: it was loaded.
    pub failure: Option<String>,
}

/// What was found out about GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cuda {
    /// Where libtorch_cuda was looked for, in order.
    pub tried: Vec<Tried>,
    /// How many GPUs can be used.
    pub devices: i64,
}

impl Cuda {
    /// Why there is no GPU, or that there are some.
    pub fn explanation(&self) -> String {
        if self.devices > 0 {
            return format!("there are {} GPUs, counted from 0", self.devices);
        }
        if let Some(loaded) = self.tried.iter().find(|t| t.failure.is_none()) {
            return format!(
                "{} was loaded, but no GPU answers: is the driver (libcuda.so.1) installed and a device visible (CUDA_VISIBLE_DEVICES)?",
                loaded.path.display()
            );
        }
        let places: Vec<String> =
            self.tried.iter().map(|t| format!("{} ({})", t.path.display(), t.failure.as_deref().unwrap_or("loaded"))).collect();
        format!(
            "libtorch_cuda.so was not found. It was looked for at {}. Set LVM_LIBTORCH_CUDA to the folder that holds it (the lib folder of a PyTorch {} with CUDA)",
            places.join(", "),
            LIBTORCH_VERSION
        )
    }
}

/// The version of libtorch that this crate is built for.
pub const LIBTORCH_VERSION: &str = "2.11.0";

/// What there is of CUDA; looked for once, at the first call.
pub fn cuda() -> &'static Cuda {
    static CUDA: OnceLock<Cuda> = OnceLock::new();
    CUDA.get_or_init(|| {
        let mut tried = Vec::new();
        if tch::utils::has_cuda() {
            // linked with it, or loaded by somebody else
            return Cuda { tried, devices: tch::Cuda::device_count() };
        }
        for folder in folders() {
            let path = folder.join("libtorch_cuda.so");
            let failure = load(&path).err();
            let loaded = failure.is_none();
            tried.push(Tried { path, failure });
            if loaded {
                break;
            }
        }
        let devices = if tried.iter().any(|t| t.failure.is_none()) { tch::Cuda::device_count() } else { 0 };
        Cuda { tried, devices }
    })
}

/// Where libtorch_cuda may be: where the user says, where libtorch is, in the library path.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut folders: Vec<PathBuf> = variable("LVM_LIBTORCH_CUDA").into_iter().collect();
    folders.extend(variable("LIBTORCH").map(|root| root.join("lib")));
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        folders.extend(std::env::split_paths(&paths).filter(|p| p.join("libtorch_cuda.so").exists()));
    }
    if folders.is_empty() {
        folders.push(PathBuf::from("/usr/lib"));
    }
    folders.dedup();
    folders
}

#[cfg(unix)]
fn load(path: &Path) -> std::result::Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    if !path.exists() {
        return Err("not there".into());
    }
    // SAFETY: loading libtorch_cuda runs its initialisers, which register its kernels with libtorch; that is what it is made for.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            // kernels stay registered: the library must never be unloaded
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(not(unix))]
fn load(_path: &Path) -> std::result::Result<(), String> {
    Err("loading at run time is not supported on this system: link with a libtorch that has CUDA".into())
}
