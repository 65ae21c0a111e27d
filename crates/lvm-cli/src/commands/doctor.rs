//! `lvm doctor`: what this program is made of and what it finds on this machine.

use crate::args::DoctorArgs;
use crate::failure::Outcome;
use crate::report::{self, human};
use serde::Serialize;

#[derive(Serialize)]
struct DoctorReport {
    version: &'static str,
    system: &'static str,
    processor: &'static str,
    /// Cores that this process may use.
    cores: usize,
    /// Threads of everything but libtorch.
    threads: usize,
    linear_algebra: &'static str,
    /// Null in a build without neural models.
    neural: Option<Neural>,
}

#[derive(Serialize)]
struct Neural {
    /// The version of libtorch that this program was built for.
    libtorch: &'static str,
    /// The folder of the libtorch that is running, where the system tells.
    loaded: Option<String>,
    /// Where it was when the program was built, and is looked for first.
    folder: Option<&'static str>,
    /// Whether that folder is still there.
    folder_found: bool,
    /// Threads within an operation of libtorch.
    threads: i32,
    mkl: bool,
    onednn: bool,
    openmp: bool,
    cuda: Cuda,
    /// What --device auto means here.
    device: String,
}

#[derive(Serialize)]
struct Cuda {
    devices: i64,
    /// Every place where libtorch_cuda was looked for.
    tried: Vec<Tried>,
    /// What follows, in words.
    explanation: String,
}

#[derive(Serialize)]
struct Tried {
    path: String,
    /// Null where it was loaded.
    failure: Option<String>,
}

/// Tells what there is.
pub(crate) fn run(args: &DoctorArgs) -> Outcome {
    let report = DoctorReport {
        version: env!("CARGO_PKG_VERSION"),
        system: std::env::consts::OS,
        processor: std::env::consts::ARCH,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads: rayon::current_num_threads(),
        linear_algebra: "faer, in Rust; no BLAS of the system is used",
        neural: neural(),
    };
    report::print(&report, args.json, text)
}

#[cfg(not(feature = "deep"))]
fn neural() -> Option<Neural> {
    None
}

#[cfg(feature = "deep")]
fn neural() -> Option<Neural> {
    use lvm_deep::device::{Device, LIBTORCH_VERSION, cuda, libtorch_folder, name};
    let found = cuda();
    let folder = option_env!("LVM_LIBTORCH_LIB");
    let tried = found.tried.iter().map(|t| Tried { path: t.path.display().to_string(), failure: t.failure.clone() }).collect();
    Some(Neural {
        libtorch: LIBTORCH_VERSION,
        loaded: libtorch_folder().map(|folder| folder.display().to_string()),
        folder,
        folder_found: folder.is_some_and(|folder| std::path::Path::new(folder).is_dir()),
        threads: tch::get_num_threads(),
        mkl: tch::utils::has_mkl(),
        onednn: tch::utils::has_mkldnn(),
        openmp: tch::utils::has_openmp(),
        cuda: Cuda { devices: found.devices, tried, explanation: found.explanation() },
        device: Device::Auto.resolve().map_or_else(|_| Device::Cpu.to_string(), name),
    })
}

fn text(report: &DoctorReport) -> String {
    let mut lines = vec![
        ("lvm", report.version.to_owned()),
        ("machine", format!("{}, {}, {}", report.system, report.processor, report::count(report.cores, "core"))),
        ("threads", report.threads.to_string()),
        ("algebra", report.linear_algebra.to_owned()),
    ];
    let Some(neural) = &report.neural else {
        lines.push(("neural models", absent()));
        return human::facts(&lines);
    };
    let found = if neural.folder_found { "" } else { " (no longer there: LD_LIBRARY_PATH must name another)" };
    let parts = [("MKL", neural.mkl), ("oneDNN", neural.onednn), ("OpenMP", neural.openmp)];
    let parts: Vec<&str> = parts.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    lines.extend([
        ("libtorch", format!("{}, on {}, with {}", neural.libtorch, report::count(neural.threads as usize, "thread"), parts.join(", "))),
        (
            "",
            match &neural.loaded {
                Some(loaded) => format!("in {loaded}"),
                None => format!("in {}{found}", neural.folder.unwrap_or("a folder that the build did not tell")),
            },
        ),
        ("CUDA", report::count(neural.cuda.devices as usize, "GPU")),
    ]);
    for tried in &neural.cuda.tried {
        lines.push(("", format!("{}: {}", tried.path, tried.failure.as_deref().unwrap_or("loaded"))));
    }
    lines.extend([("", neural.cuda.explanation.clone()), ("--device auto", neural.device.clone())]);
    human::facts(&lines)
}

#[cfg(feature = "deep")]
fn absent() -> String {
    "none".to_owned()
}

#[cfg(not(feature = "deep"))]
fn absent() -> String {
    crate::stored::NO_NEURAL_MODELS.to_owned()
}
