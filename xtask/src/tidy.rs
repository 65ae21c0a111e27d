//! Checks of the tree itself: what a machine can see about how the house is kept.

use crate::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// Lines of a source file at most.
const LONGEST_FILE: usize = 500;

/// Prints every finding and fails if there is one.
pub(crate) fn run(shell: &Shell) -> Outcome {
    let files = tracked(shell)?;
    let mut findings = Vec::new();
    for file in &files {
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => source(file, &mut findings)?,
            Some("md") => links(file, &mut findings)?,
            _ => {}
        }
    }
    pages(&files, &mut findings)?;
    faults(&files, &mut findings)?;
    table_of_faults(&mut findings)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok(()) } else { Err(format!("{} findings", findings.len()).into()) }
}

/// Files that git tracks, and new ones it does not ignore.
fn tracked(shell: &Shell) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let list = cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet().read()?;
    Ok(list.lines().map(PathBuf::from).filter(|p| p.is_file()).collect())
}

/// Long files, ignored tests, unfinished code, and library code that can panic without saying why it won't.
fn source(file: &Path, findings: &mut Vec<String>) -> Outcome {
    let text = fs::read_to_string(file)?;
    if text.lines().count() > LONGEST_FILE {
        findings.push(format!("{}: {} lines, more than {LONGEST_FILE}", file.display(), text.lines().count()));
    }
    let library = !for_tests_only(file)
        && file.components().any(|c| c.as_os_str() == "src")
        && file.starts_with("crates")
        && !file.starts_with("crates/lvm-testkit");
    let panics = [concat!(".unw", "rap()"), concat!(".exp", "ect(\""), concat!("pan", "ic!("), concat!("unreach", "able!(")];
    let asserts = [concat!("ass", "ert!("), concat!("ass", "ert_eq!("), concat!("ass", "ert_ne!(")];
    let always = |line: &str, at: usize| !line[..at].ends_with("debug_");
    let asserted = |line: &str| asserts.iter().any(|name| line.match_indices(*name).any(|(at, _)| always(line, at)));
    // lines left in which a comment on an invariant still speaks for the code under it
    let mut excused = 0;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        if line.contains(concat!("#[ig", "nore")) {
            findings.push(format!("{}:{}: ignored test", file.display(), number + 1));
        }
        let code = !line.trim_start().starts_with("//");
        if line.contains("// invariant:") {
            excused = 6;
        } else if code {
            excused -= i32::from(excused > 0);
        }
        if library && code && excused == 0 && (panics.iter().any(|p| line.contains(p)) || asserted(line)) {
            findings.push(format!("{}:{}: can panic; return an error or add `// invariant:`", file.display(), number + 1));
        }
    }
    Ok(())
}

/// Whether the module above declares this file under `#[cfg(test)]`.
fn for_tests_only(file: &Path) -> bool {
    let (Some(folder), Some(name)) = (file.parent(), file.file_stem().and_then(|n| n.to_str())) else { return false };
    let beside = ["mod.rs", "lib.rs", "main.rs"].map(|parent| folder.join(parent));
    let parents = beside.into_iter().chain([folder.with_extension("rs")]);
    parents
        .filter_map(|p| fs::read_to_string(p).ok())
        .any(|t| ["", "pub(crate) ", "pub(super) "].iter().any(|seen| t.contains(&format!("#[cfg(test)]\n{seen}mod {name};"))))
}

/// Relative links of a page must lead somewhere.
fn links(file: &Path, findings: &mut Vec<String>) -> Outcome {
    let text = fs::read_to_string(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    for (start, _) in text.match_indices("](") {
        let target = text[start + 2..].split([')', '#', ' ']).next().unwrap_or("");
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") || target.contains('`') {
            continue;
        }
        if !folder.join(target).exists() {
            findings.push(format!("{}: link to {target} leads nowhere", file.display()));
        }
    }
    Ok(())
}

/// The faults that can be planted in the source.
const CATALOGUE: &str = "crates/lvm-verify/src/mutants.rs";

/// Every fault that can be planted is in the catalogue with the check that finds it, and every fault of the catalogue can be planted.
fn faults(files: &[PathBuf], findings: &mut Vec<String>) -> Outcome {
    let catalogue = fs::read_to_string(CATALOGUE)?;
    let listed: Vec<&str> = catalogue.split("mutant(\"").skip(1).filter_map(|t| t.split('"').next()).collect();
    let mut planted = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs") && f.starts_with("crates") && !f.ends_with("mutant.rs")) {
        let text = fs::read_to_string(file)?;
        let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for name in code.split("planted(\"").skip(1).filter_map(|t| t.split('"').next()) {
            if !listed.contains(&name) {
                findings.push(format!("{}: the fault \"{name}\" is not in {CATALOGUE}", file.display()));
            }
            planted.push(name.to_owned());
        }
    }
    for name in listed.iter().filter(|n| !planted.iter().any(|p| p == *n)) {
        findings.push(format!("{CATALOGUE}: the fault \"{name}\" is planted nowhere"));
    }
    Ok(())
}

/// The table of planted faults in the book is the catalogue's, row for row.
fn table_of_faults(findings: &mut Vec<String>) -> Outcome {
    const PAGE: &str = "docs/verify.md";
    let catalogue = fs::read_to_string(CATALOGUE)?;
    let expected = rows_of_catalogue(&catalogue);
    if expected.len() != catalogue.matches("mutant(\"").count() {
        findings.push(format!("{CATALOGUE}: a fault is not made of six strings: name, what, published, id, case, quantity"));
    }
    let page = fs::read_to_string(PAGE)?;
    let found: Vec<&str> =
        page.lines().skip_while(|l| !l.starts_with("| planted in the source")).skip(2).take_while(|l| l.starts_with('|')).collect();
    for row in expected.iter().filter(|row| !found.contains(&row.as_str())) {
        findings.push(format!("{PAGE}: the table of planted faults lacks a row of {CATALOGUE}:\n{row}"));
    }
    for row in found.iter().filter(|row| !expected.iter().any(|e| e == *row)) {
        findings.push(format!("{PAGE}: the table of planted faults has a row that is not in {CATALOGUE}:\n{row}"));
    }
    Ok(())
}

/// The catalogue as rows of that table. Six strings make a fault: name, what is wrong, where it was published, id, case and quantity.
fn rows_of_catalogue(catalogue: &str) -> Vec<String> {
    let row = |entry: &str| {
        let strings: Vec<&str> = entry.split('"').step_by(2).take(6).collect();
        let [name, what, published, id, case, quantity] = strings[..] else { return None };
        Some(format!("| `{name}`: {what} | {published} | {id} {case} · {quantity} |").replace("|J|", "\\|J\\|"))
    };
    catalogue.split("mutant(\"").skip(1).filter_map(row).collect()
}

/// Every model folder of lvm-core has a page, a bench and a place in the laws; every page of the book is in its summary.
fn pages(files: &[PathBuf], findings: &mut Vec<String>) -> Outcome {
    let laws = fs::read_to_string("crates/lvm-core/tests/it/laws.rs").unwrap_or_default();
    for model in ["gmm", "ppca", "fa"] {
        for needed in [format!("docs/models/{model}.md"), format!("benches/benches/{model}.rs")] {
            if !Path::new(&needed).exists() {
                findings.push(format!("{needed} is missing"));
            }
        }
        if !laws.contains(&format!("mod {model}")) {
            findings.push(format!("crates/lvm-core/tests/it/laws.rs has no laws for {model}"));
        }
    }
    let summary = fs::read_to_string("docs/SUMMARY.md").unwrap_or_default();
    for page in files.iter().filter(|f| f.starts_with("docs") && f.extension().is_some_and(|e| e == "md")) {
        let name = page.strip_prefix("docs")?.display().to_string();
        if name != "SUMMARY.md" && !summary.contains(&format!("({name})")) {
            findings.push(format!("docs/{name} is not in docs/SUMMARY.md"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_makes_a_row() {
        let catalogue = r#"
    mutant("sign", ("log |J| with the other sign", "VERIFY §3.4"), (L, "L3"), "densities of constrained", "log ∫"),
    mutant("cut", ("off"
"#;
        let row = "| `sign`: log \\|J\\| with the other sign | VERIFY §3.4 | L3 densities of constrained · log ∫ |";
        assert_eq!(rows_of_catalogue(catalogue), [row]);
    }
}
