//! Layer V in a program of its own.
//!
//! `lvm-verify` runs every layer that needs no libtorch and prints it; then it asks for layer V: it writes a [`Request`] to a file and runs a
//! command, which provides libtorch, builds `lvm-verify-deep` and runs it on the file. That program puts its [`Answer`] in the file's place.
//! Where an earlier run has provided all of it, the program runs beside the other layers.

use crate::check::{Check, Layer};
use crate::report::{Report, summarise};
use crate::suite::{Budget, Selection};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What of layer V is to be run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Only cases whose name contains one of these; all if empty.
    pub cases: Vec<String>,
    /// Only checks with one of these ids; all if empty.
    pub ids: Vec<String>,
    /// How long it may take.
    pub budget: Budget,
    /// Where random streams start.
    pub seed: u64,
    /// A folder of cases to run instead of the shipped ones.
    pub dir: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The checks.
    pub checks: Vec<Check>,
    /// How many of them are stochastic.
    pub comparisons: usize,
    /// Seconds they took.
    pub seconds: f64,
}

impl Request {
    /// Layer V of what was asked for.
    pub fn new(selection: &Selection, dir: Option<&Path>) -> Self {
        let Selection { cases, ids, budget, seed, .. } = selection.clone();
        // the other program runs elsewhere
        let dir = dir.map(|d| d.canonicalize().unwrap_or_else(|_| d.to_owned()));
        Request { cases, ids, budget, seed, dir }
    }

    /// The same as a selection.
    pub fn selection(&self) -> Selection {
        Selection { layers: vec![Layer::V], cases: self.cases.clone(), budget: self.budget, ids: self.ids.clone(), seed: self.seed }
    }

    /// Has `command FILE` begin. `beside` other work what it prints is kept from the terminal.
    ///
    /// # Errors
    /// If the command can't be run.
    pub fn send(&self, command: &str, beside: bool) -> Result<Asked, String> {
        let folder = Folder::new()?;
        let file = folder.0.join("layer-v.json");
        let problem = |e: String| format!("{}: {e}", file.display());
        let text = serde_json::to_string(self).map_err(|e| problem(e.to_string()))?;
        std::fs::write(&file, text).map_err(|e| problem(e.to_string()))?;
        let mut words = command.split('\u{1f}');
        let program = words.next().unwrap_or_default();
        let mut process = Command::new(program);
        process.args(words).arg(&file);
        let printed = folder.0.join("printed");
        if beside {
            let open = || std::fs::File::create(&printed).and_then(|f| Ok((f.try_clone()?, f)));
            let (output, errors) = open().map_err(|e| format!("{}: {e}", printed.display()))?;
            process.stdout(output).stderr(errors);
        }
        let child = process.spawn().map_err(|e| format!("{program}: {e}"))?;
        Ok(Asked { child, file, printed, _folder: folder })
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Asked {
    child: Child,
    file: PathBuf,
    /// What the command printed, where it runs beside other work.
    printed: PathBuf,
    _folder: Folder,
}

impl Drop for Asked {
    /// Ends a command whose answer nobody waits for.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Asked {
    /// Waits for the answer.
    ///
    /// # Errors
    /// If the command ends with an error, or leaves no answer; the message says which.
    pub fn answer(mut self) -> Result<Answer, String> {
        let problem = |e: String| format!("{}: {e}", self.file.display());
        let status = self.child.wait().map_err(|e| e.to_string())?;
        let show = || {
            let printed = std::fs::read_to_string(&self.printed).unwrap_or_default();
            let _ = std::io::stderr().lock().write_all(printed.as_bytes());
        };
        if !status.success() {
            show();
            return Err("libtorch, or the program that needs it, could not be provided; why stands above".into());
        }
        let text = std::fs::read_to_string(&self.file).map_err(|e| problem(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| {
            show();
            problem(format!("no answer: {e}"))
        })
    }
}

/// A folder that goes with its owner.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lvm-verify-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Report {
    /// Takes in what was found elsewhere; how long both took together its caller knows.
    pub fn take_in(&mut self, answer: Answer) {
        self.comparisons += answer.comparisons;
        self.checks.extend(answer.checks);
        self.summary = summarise(&self.checks);
    }
}

/// The program `lvm-verify-deep FILE`.
#[cfg(feature = "deep")]
pub fn main() -> std::process::ExitCode {
    match std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or_else(|| "the file with the request is missing".to_owned())
        .and_then(|f| answer(&f))
    {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "lvm-verify-deep: {e}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "deep")]
fn answer(file: &Path) -> Result<(), String> {
    use crate::run::{Options, run};
    let problem = |e: String| format!("{}: {e}", file.display());
    let text = std::fs::read_to_string(file).map_err(|e| problem(e.to_string()))?;
    let request: Request = serde_json::from_str(&text).map_err(|e| problem(e.to_string()))?;
    // nets this small gain nothing from more threads, and one thread adds in one order
    tch::set_num_threads(1);
    let options = Options { selection: request.selection(), dir: request.dir.clone(), ..Default::default() };
    let report = run(&crate::subject::Library, &options, |_| {});
    let answer = Answer { checks: report.checks, comparisons: report.comparisons, seconds: report.seconds };
    let text = serde_json::to_string(&answer).map_err(|e| problem(e.to_string()))?;
    std::fs::write(file, text).map_err(|e| problem(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Options, run};
    use crate::subject::Library;

    #[test]
    fn an_answer_comes_back_as_it_was_sent() {
        let selection = Selection { layers: vec![Layer::N], cases: vec!["special".into()], ..Default::default() };
        let report = run(&Library, &Options { selection, ..Default::default() }, |_| {});
        let answer = Answer { checks: report.checks.clone(), comparisons: 0, seconds: 1.0 };
        let text = serde_json::to_string(&answer).unwrap();
        let back: Answer = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        let mut other = Report::default();
        other.take_in(back);
        assert_eq!(other.checks.len(), report.checks.len());
        assert_eq!(other.passed(), report.passed());
    }

    #[cfg(unix)]
    #[test]
    fn a_command_whose_answer_nobody_waits_for_ends() {
        let asked = Request::new(&Selection::default(), None).send("tail\u{1f}-f", true).unwrap();
        let (id, folder) = (asked.child.id(), asked._folder.0.clone());
        let runs = || Command::new("kill").args(["-0", &id.to_string()]).status().unwrap().success();
        assert!(runs() && folder.is_dir());
        drop(asked);
        assert!(!runs() && !folder.exists());
    }

    #[test]
    fn a_command_that_fails_or_answers_nothing_is_an_error() {
        let request = Request::new(&Selection::default(), None);
        let ask = |command: &str, beside: bool| request.send(command, beside).and_then(Asked::answer);
        for beside in [false, true] {
            assert!(ask("false", beside).unwrap_err().contains("could not be provided"));
            assert!(ask("true", beside).unwrap_err().contains("no answer"));
            assert!(ask("no-such-program-of-lvm", beside).is_err());
        }
    }
}
