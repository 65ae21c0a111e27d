//! The program as a user starts it.

use std::process::Command;

#[test]
fn it_says_what_it_can_do() {
    let out = Command::new(env!("CARGO_BIN_EXE_lvm-verify")).arg("--help").output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success());
    for option in ["--layer", "--case", "--quick", "--dir"] {
        assert!(text.contains(option), "{option} is not in\n{text}");
    }
}
