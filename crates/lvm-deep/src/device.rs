//! Where tensors live, and what was found out about it.
//!
//! One build serves CPU and GPU: it is linked with libtorch's CPU libraries alone, and libtorch_cuda is loaded when a GPU is first asked for.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
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

/// As it is typed and written: `auto`, `cpu`, `cuda:0`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// `auto`, `cpu`, `cuda:0` …; `cuda` and `gpu` are the first GPU. Capitals are taken for small letters.
///
/// ```
/// use lvm_deep::device::Device;
/// assert_eq!("cuda:1".parse::<Device>(), Ok(Device::Cuda(1)));
/// assert_eq!("GPU".parse::<Device>(), Ok(Device::Cuda(0)));
/// assert!("tpu".parse::<Device>().is_err());
/// ```
impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> std::result::Result<Self, UnknownDevice> {
        match text.trim().to_lowercase().as_str() {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" | "gpu" => Ok(Device::Cuda(0)),
            other => other.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Device::Cuda).ok_or(UnknownDevice),
        }
    }
}

/// A word that names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownDevice;

impl fmt::Display for UnknownDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("auto, cpu, or cuda:0, cuda:1, … is needed")
    }
}

impl std::error::Error for UnknownDevice {}

/// The device in words, as [`Device`] has them.
pub fn name(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(index) => Device::Cuda(index).to_string(),
        _ => Device::Cpu.to_string(),
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

/// What stands in [`Tried::failure`] where there is no such file.
const NOT_THERE: &str = "not there";

/// What was found out about GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cuda {
    /// Where libtorch_cuda was looked for, in order.
    pub tried: Vec<Tried>,
    /// Why the driver's library libcuda.so.1 can't be loaded, where libtorch_cuda is there and no GPU answers.
    pub driver: Option<String>,
    /// How many GPUs can be used.
    pub devices: i64,
}

impl Cuda {
    /// Why there is no GPU, or that there are some: the library that is missing, and where it was looked for.
    pub fn explanation(&self) -> String {
        if self.devices > 0 {
            return format!("there are {} GPUs, counted from 0", self.devices);
        }
        if let Some(loaded) = self.tried.iter().find(|t| t.failure.is_none()) {
            let why = match &self.driver {
                Some(failure) => format!("the driver's library can't be loaded ({failure}): install NVIDIA's driver"),
                None => "the driver's library libcuda.so.1 is there: is a device visible (nvidia-smi, CUDA_VISIBLE_DEVICES)?".to_owned(),
            };
            return format!("{} was loaded, but no GPU answers; {why}", loaded.path.display());
        }
        let refused = self.tried.iter().find_map(|t| t.failure.as_deref().filter(|f| *f != NOT_THERE).map(|failure| (&t.path, failure)));
        if let Some((path, failure)) = refused {
            return format!(
                "{} is there, but can't be loaded: {failure}. That library comes with a whole PyTorch {LIBTORCH_VERSION} for CUDA: install it, and set \
                 LVM_LIBTORCH_CUDA to its lib folder",
                path.display()
            );
        }
        let places: Vec<String> = self.tried.iter().map(|t| t.path.display().to_string()).collect();
        format!(
            "libtorch_cuda.so was not found. It was looked for at {}. Set LVM_LIBTORCH_CUDA to the folder that holds it (the lib folder of a PyTorch \
             {LIBTORCH_VERSION} with CUDA)",
            places.join(", ")
        )
    }
}

/// The version of libtorch that this crate is built for.
pub const LIBTORCH_VERSION: &str = "2.11.0";

/// What there is of CUDA; looked for once, at the first call.
pub fn cuda() -> &'static Cuda {
    static CUDA: OnceLock<Cuda> = OnceLock::new();
    CUDA.get_or_init(|| {
        if tch::utils::has_cuda() {
            // linked with it, or loaded by somebody else
            return Cuda { tried: Vec::new(), driver: None, devices: tch::Cuda::device_count() };
        }
        let mut tried = Vec::new();
        for folder in Places::here().folders() {
            let path = folder.join("libtorch_cuda.so");
            let failure = if path.exists() { load(&path).err() } else { Some(NOT_THERE.to_owned()) };
            let loaded = failure.is_none();
            tried.push(Tried { path, failure });
            if loaded {
                break;
            }
        }
        let loaded = tried.iter().any(|t| t.failure.is_none());
        let devices = if loaded { tch::Cuda::device_count() } else { 0 };
        let driver = if loaded && devices == 0 { load(Path::new("libcuda.so.1")).err() } else { None };
        Cuda { tried, driver, devices }
    })
}

/// The folder that libtorch was loaded from by this program, where the system tells.
pub fn libtorch_folder() -> Option<PathBuf> {
    loaded_from(&std::fs::read_to_string("/proc/self/maps").ok()?)
}

/// The folder of libtorch_cpu in a list of mappings, as Linux has it (proc(5)): the path begins at the first slash of a line.
fn loaded_from(maps: &str) -> Option<PathBuf> {
    let path = |line: &str| line.find('/').map(|at| PathBuf::from(&line[at..]));
    maps.lines()
        .filter_map(path)
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libtorch_cpu.so")))?
        .parent()
        .map(Path::to_owned)
}

/// What is known about where libtorch_cuda may be.
struct Places {
    /// As the user says (LVM_LIBTORCH_CUDA).
    told: Option<PathBuf>,
    /// Beside the libtorch_cpu of this process: a PyTorch's own, or an unpacked libtorch.
    loaded: Option<PathBuf>,
    /// In the root of LIBTORCH.
    libtorch: Option<PathBuf>,
    /// Where libtorch was when this crate was built.
    built: Option<PathBuf>,
    /// The library path.
    library_path: Vec<PathBuf>,
}

impl Places {
    fn here() -> Self {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        Places {
            told: variable("LVM_LIBTORCH_CUDA"),
            loaded: libtorch_folder(),
            libtorch: variable("LIBTORCH").map(|root| root.join("lib")),
            built: option_env!("LVM_LIBTORCH_LIB").map(PathBuf::from),
            library_path: std::env::var_os("LD_LIBRARY_PATH").map_or_else(Vec::new, |paths| std::env::split_paths(&paths).collect()),
        }
    }

    /// In the order in which they are tried, each once.
    fn folders(self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let with_cuda = self.library_path.into_iter().filter(|folder| folder.join("libtorch_cuda.so").exists());
        for folder in [self.told, self.loaded, self.libtorch, self.built].into_iter().flatten().chain(with_cuda) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }
}

#[cfg(unix)]
fn load(path: &Path) -> std::result::Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: loading libtorch_cuda (or the driver) runs its initialisers, which register its kernels with libtorch; that is what it is made for.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_devices() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(12)] {
            assert_eq!(device.to_string().parse::<Device>(), Ok(device));
        }
        assert_eq!("cuda".parse::<Device>(), Ok(Device::Cuda(0)));
        for word in ["", "cuda:", "cuda:-1", "cuda0", "mps"] {
            assert_eq!(word.parse::<Device>(), Err(UnknownDevice), "{word}");
        }
    }

    #[test]
    fn the_folder_of_the_running_libtorch_is_looked_at() {
        let maps =
            "7f0-7f1 r-xp 00000000 fe:00 12 /usr/lib/libc.so.6\n7f2-7f3 r-xp 00000000 fe:00 13    /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(loaded_from(maps), Some("/opt/my torch/lib".into()));
        assert_eq!(loaded_from("7f0-7f1 rw-p 00000000 00:00 0 [heap]\n"), None);
        // this very program runs with one
        let _ = tch::Tensor::zeros([1], (tch::Kind::Float, tch::Device::Cpu));
        if cfg!(target_os = "linux") {
            assert!(libtorch_folder().is_some_and(|folder| folder.is_dir()));
        }
        let path = |name: &str| Some(PathBuf::from(name));
        let places = Places {
            told: path("/a"),
            loaded: path("/b"),
            libtorch: path("/c/lib"),
            built: path("/b"),
            library_path: vec!["/none".into()],
        };
        assert_eq!(places.folders(), ["/a", "/b", "/c/lib"].map(PathBuf::from));
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |failure: Option<&str>, driver: Option<&str>| {
            let tried = vec![Tried { path: "/x/libtorch_cuda.so".into(), failure: failure.map(str::to_owned) }];
            Cuda { tried, driver: driver.map(str::to_owned), devices: 0 }.explanation()
        };
        let check = |text: String, words: &[&str]| words.iter().for_each(|word| assert!(text.contains(word), "{text}"));
        check(of(Some(NOT_THERE), None), &["libtorch_cuda.so was not found", "/x/libtorch_cuda.so", "LVM_LIBTORCH_CUDA"]);
        check(of(Some("libcudnn.so.9: cannot open shared object file"), None), &["libcudnn.so.9", "/x/libtorch_cuda.so is there"]);
        check(of(None, Some("libcuda.so.1: cannot open shared object file")), &["no GPU answers", "libcuda.so.1", "driver"]);
        check(of(None, None), &["CUDA_VISIBLE_DEVICES"]);
    }

    #[test]
    fn asking_for_a_gpu_where_there_is_none_says_what_is_missing() {
        let there = cuda().devices;
        let error = Device::Cuda(there as usize).resolve().unwrap_err().to_string();
        assert!(error.contains(&format!("cuda:{there}")), "{error}");
        match there {
            0 => assert!(error.contains("libtorch_cuda.so") || error.contains("libcuda.so.1"), "{error}"),
            _ => assert!(error.contains("counted from 0"), "{error}"),
        }
        assert_eq!(Device::Cpu.resolve().unwrap(), tch::Device::Cpu);
    }
}
