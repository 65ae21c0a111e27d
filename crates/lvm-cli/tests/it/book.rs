//! The page of the program in the book: every line that it shows does what it shows, and every option is on it.

use crate::harness::{Folder, Ran};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md")).unwrap()
}

/// A line typed at a prompt, and what is printed below it.
#[derive(Debug)]
struct Shown {
    command: String,
    lines: Vec<String>,
}

/// The code blocks of the page, in order.
fn shown(page: &str) -> Vec<Shown> {
    let (mut code, mut all) = (false, Vec::<Shown>::new());
    for line in page.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if let (true, Some(command)) = (code, line.strip_prefix("$ ")) {
            all.push(Shown { command: command.to_owned(), lines: Vec::new() });
        } else if let (true, Some(last)) = (code, all.last_mut()) {
            last.lines.push(line.to_owned());
        }
    }
    for one in &mut all {
        while one.lines.last().is_some_and(String::is_empty) {
            one.lines.pop();
        }
    }
    all
}

/// The tables that the page works on: those shipped with lvm-data, the one that the page prints, and two that are broken as it says.
fn tables(all: &[Shown]) -> Folder {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lvm-data/data");
    let holes = all.iter().find(|s| s.command == "cat holes.csv").expect("the page prints holes.csv");
    let folder = Folder::new()
        .with("holes.csv", holes.lines.join("\n") + "\n")
        .with("bad.csv", "a,b\n1,2\n3,\n5,6\n")
        .with("ragged.csv", "a,b\n1,2\n3\n5,6\n");
    for name in ["iris.csv", "wine.csv", "old_faithful.csv"] {
        std::fs::copy(data.join(name), folder.path(name)).unwrap();
    }
    let mut digits = Vec::new();
    let packed = std::fs::File::open(data.join("digits.csv.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut digits).unwrap();
    folder.with("digits.csv", digits)
}

/// A line as a shell reads it, with the program on its path.
fn shell(folder: &Folder, line: &str) -> Ran {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_lvm"));
    let path = std::env::join_paths(
        std::iter::once(program.parent().unwrap().to_owned())
            .chain(std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect::<Vec<_>>()),
    );
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder.path(".")).env("PATH", path.unwrap()).stdin(Stdio::null());
    Ran::of(command.output().unwrap())
}

/// `lvm verify` shows of each check the entry that disagrees most, by roundings: which one that is depends on the machine.
fn numbers_vary(command: &str) -> bool {
    command.starts_with("lvm verify")
}

/// The same words and, to the digits that matter, the same numbers. Another machine adds in another order, which moves the last digits, and
/// what is itself a rounding (below 1e-6) may be any other such.
fn alike(shown: &str, found: &str, any_number: bool) -> bool {
    let words = |line: &str| -> Vec<String> {
        let apart = |c: char| c.is_whitespace() || ",;:()[]{}".contains(c);
        line.split(apart).filter(|w| !w.is_empty()).map(str::to_owned).collect()
    };
    let near = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => any_number || (a - b).abs() <= 1e-3 * a.abs().max(b.abs()) || a.abs().max(b.abs()) < 1e-6,
        _ => false,
    };
    let (shown, found) = (words(shown), words(found));
    shown.len() == found.len() && shown.iter().zip(&found).all(|(s, f)| s == f || near(s, f))
}

/// Checks what was printed line by line; `…` stands for any lines.
fn check(one: &Shown, text: &str) {
    let found: Vec<&str> = text.trim_end().lines().collect();
    let mut at = 0;
    let mut skips = false;
    for line in &one.lines {
        if line == "…" {
            skips = true;
            continue;
        }
        let next = found[at..].iter().position(|f| alike(line, f, numbers_vary(&one.command))).filter(|&n| skips || n == 0);
        let Some(next) = next else { panic!("{}: shown\n{line}\nfound\n{}", one.command, found[at..].join("\n")) };
        at += next + 1;
        skips = false;
    }
    assert!(skips || at == found.len(), "{}: not shown:\n{}", one.command, found[at..].join("\n"));
}

/// Whether the line needs libtorch.
fn neural(command: &str) -> bool {
    command.contains("vae")
}

#[test]
fn every_line_of_the_page_does_what_it_shows() {
    let all = shown(&page());
    let folder = tables(&all);
    let mut run = 0;
    for one in all.iter().filter(|s| !neural(&s.command)) {
        let ran = shell(&folder, &one.command);
        match one.lines.first() {
            Some(first) if first.starts_with("error: ") => {
                assert!(ran.code != 0 && ran.out.is_empty(), "{}: {ran:?}", one.command);
                check(one, &ran.err);
            }
            first => {
                assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}: {ran:?}", one.command);
                if first.is_some() {
                    check(one, &ran.out);
                }
            }
        }
        run += 1;
    }
    assert!(run >= 29, "only {run} lines");
}

/// What of neural models is shown runs; how they train depends on the machine, so that numbers are not compared.
#[cfg(feature = "deep")]
#[test]
fn every_neural_line_of_the_page_works() {
    let all = shown(&page());
    let folder = crate::book_neural::tables(tables(&all));
    let mut run = 0;
    for one in &all {
        // what splits the tables and fits the models to compare with
        if neural(&one.command) || one.command.contains("train.csv") {
            let ran = shell(&folder, &one.command);
            match one.lines.first() {
                Some(first) if first.starts_with("error: ") => {
                    assert!(ran.code != 0 && ran.out.is_empty(), "{}: {ran:?}", one.command);
                    check(one, &ran.err);
                }
                _ => assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}: {ran:?}", one.command),
            }
            run += usize::from(neural(&one.command));
        }
    }
    assert!(run >= 10, "only {run} lines");
}

/// The commands of all builds.
const COMMANDS: [&str; 20] = [
    "fit gmm",
    "fit ppca",
    "fit fa",
    "fit bgmm",
    "fit bppca",
    "fit multinomial-mixture",
    "fit lda",
    "select gmm",
    "select ppca",
    "select fa",
    "score",
    "posterior",
    "infer",
    "map",
    "sample",
    "impute",
    "info",
    "compare",
    "verify",
    "doctor",
];

/// Those that only neural models have.
#[cfg(feature = "deep")]
const NEURAL_COMMANDS: &[&str] = &["fit vae", "resume", "reconstruct", "interpolate", "ood"];

/// Options (`--name`) and values of options that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in help.lines().map(str::trim_start) {
        if !line.starts_with("- ") && line.starts_with('-') && line.contains("--") {
            let name = line.split_whitespace().find(|w| w.starts_with("--")).unwrap();
            names.push(name.trim_end_matches(',').to_owned());
        } else if let Some((value, _)) = line.strip_prefix("- ").and_then(|l| l.split_once(':')) {
            names.push(value.to_owned());
        }
        if let Some((_, values)) = line.split_once("[possible values: ") {
            names.extend(values.trim_end_matches(']').split(", ").map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_option_and_value_is_on_the_page() {
    all_options_of(&COMMANDS);
}

#[cfg(feature = "deep")]
#[test]
fn every_option_and_value_of_neural_models_is_on_the_page() {
    all_options_of(NEURAL_COMMANDS);
}

#[track_caller]
fn all_options_of(commands: &[&str]) {
    let (folder, page) = (Folder::new(), page());
    let on_page = |name: &str| {
        page.match_indices(name).any(|(at, _)| {
            let outside = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '-');
            outside(page[..at].chars().next_back()) && outside(page[at + name.len()..].chars().next())
        })
    };
    let mut lost = Vec::new();
    for command in commands {
        let names = listed(&folder.fine(&format!("{command} --help")));
        assert!(names.contains(&"--help".to_owned()), "{command}: {names:?}");
        lost.extend(names.iter().filter(|name| !on_page(name)).map(|name| format!("{command}: {name}")));
    }
    assert!(lost.is_empty(), "not in docs/cli.md:\n{}", lost.join("\n"));
}

#[test]
fn the_comparison_of_lines_can_fail() {
    assert!(alike("log-likelihood  -180.1855  (-1.2012 nats per row)", "log-likelihood  -180.1856  (-1.2012 nats per row)", false));
    assert!(!alike("log-likelihood  -180.1855", "log-likelihood  -180.9", false));
    assert!(!alike("converged after 21 iterations", "converged after 22 iterations", false));
    assert!(!alike("repairs  none", "repairs  1", true));
    let one = Shown { command: String::new(), lines: vec!["a".into(), "…".into(), "z".into()] };
    check(&one, "a\nb\nc\nz\n");
    assert!(std::panic::catch_unwind(|| check(&one, "a\nb\nc\n")).is_err());
    assert!(std::panic::catch_unwind(|| check(&one, "a\nz\nmore\n")).is_err());
}
