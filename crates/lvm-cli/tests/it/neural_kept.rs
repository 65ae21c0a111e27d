//! What a training has reached is not lost: disks that are full, files of another training.

use crate::harness::{Folder, iris};
use std::process::Command;

/// Where the message says that something was kept, with the file, which goes away with the guard.
fn kept(text: &str) -> tempfile::TempPath {
    let path =
        text.split_whitespace().map(|word| word.trim_end_matches(';')).find(|word| word.contains("lvm-") && !word.contains("lvm-deep"));
    let path = path.unwrap_or_else(|| panic!("no file is named: {text}"));
    tempfile::TempPath::try_from_path(path).unwrap()
}

/// `full` is a device on which there is never room.
#[cfg(target_os = "linux")]
fn full(folder: &Folder, name: &str) {
    std::os::unix::fs::symlink("/dev/full", folder.path(name)).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_model_that_can_t_be_saved_is_kept_elsewhere() {
    let folder = iris();
    full(&folder, "m.lvm");
    let ran = folder.lvm("fit vae iris.csv --epochs 2 -o m.lvm");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("m.lvm") && ran.err.contains("the model is in"), "{}", ran.err);
    let model = kept(&ran.err);
    let bytes = std::fs::read(&model).unwrap();
    let folder = folder.with("kept.lvm", bytes);
    folder.fine("score kept.lvm iris.csv -k 5");
}

#[test]
#[cfg(target_os = "linux")]
fn a_checkpoint_that_can_t_be_written_does_not_end_the_training() {
    let folder = iris();
    full(&folder, "c.ckpt");
    let ran = folder.lvm("fit vae iris.csv --epochs 3 --checkpoint c.ckpt -o m.lvm");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("c.ckpt") && ran.err.contains("the model is in m.lvm"), "{}", ran.err);
    assert_eq!(folder.json("info m.lvm")["trace"].as_array().unwrap().len(), 3);
    // without -o the training itself is kept
    let ran = folder.lvm("fit vae iris.csv --epochs 3 --checkpoint c.ckpt");
    assert!(ran.code == 1 && ran.err.contains("lvm resume"), "{ran:?}");
    let training = kept(&ran.err);
    let folder = folder.with("kept.ckpt", std::fs::read(&training).unwrap());
    folder.fine("resume kept.ckpt iris.csv --epochs 5 -o five.lvm");
    folder.fine("fit vae iris.csv --epochs 5 -o whole.lvm");
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(bytes("five.lvm") == bytes("whole.lvm"));
}

#[test]
#[cfg(target_os = "linux")]
fn where_nothing_can_be_written_that_is_said() {
    let folder = iris();
    // no file may be larger than a block of 512 bytes; the signal that would end the program is ignored, as the write then fails by itself
    let line = format!("trap '' XFSZ; ulimit -f 1; exec {} fit vae iris.csv --epochs 2 -o m.lvm", env!("CARGO_BIN_EXE_lvm"));
    let out = Command::new("sh").args(["-c", &line]).current_dir(folder.path("")).output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && err.contains("m.lvm") && err.contains("nor could the model be kept"), "{err}");
    assert_eq!(folder.files(), ["iris.csv"]);
}

#[test]
fn a_training_goes_on_with_its_own_rows_only() {
    let folder = iris();
    let text = folder.read("iris.csv");
    let mut rows: Vec<&str> = text.lines().collect();
    rows.swap(1, 2);
    let swapped = rows.join("\n") + "\n";
    let changed = text.replacen("5.1", "5.2", 1);
    let mut missing: Vec<String> = text.lines().map(str::to_owned).collect();
    missing[5] =
        missing[5].replacen(|c: char| c.is_ascii_digit(), "", 1).replacen('.', "", 1).replacen(|c: char| c.is_ascii_digit(), "", 1);
    let missing = missing.join("\n") + "\n";
    let weighted: String =
        text.lines().enumerate().map(|(i, line)| if i == 0 { format!("{line},w\n") } else { format!("{line},{}\n", 1 + i % 2) }).collect();
    let folder =
        folder.with("swapped.csv", swapped).with("changed.csv", changed).with("missing.csv", missing).with("weighted.csv", weighted);
    folder.fine("fit vae iris.csv --epochs 2 --checkpoint c.ckpt");
    for name in ["swapped.csv", "changed.csv"] {
        folder.refused(&format!("resume c.ckpt {name}"), 1, &[name, "other numbers", "c.ckpt"]);
    }
    folder.refused("resume c.ckpt iris.csv --scale 2", 1, &["other numbers"]);
    folder.refused("resume c.ckpt missing.csv", 1, &["missing.csv"]);
    folder.refused("resume c.ckpt missing.csv --missing", 1, &["missing.csv", "other numbers"]);
    folder.refused("resume c.ckpt weighted.csv --weights w", 1, &["weighted.csv", "other numbers"]);
    folder.fine("resume c.ckpt iris.csv --epochs 3");
    // how the table was read is remembered
    folder.fine("fit vae weighted.csv --weights w --epochs 2 --checkpoint w.ckpt");
    folder.fine("resume w.ckpt weighted.csv --epochs 3");
    folder.fine("fit vae missing.csv --missing --epochs 2 --checkpoint m.ckpt");
    folder.fine("resume m.ckpt missing.csv --epochs 3");
}
