//! `lvm-verify-deep`: layer V alone, its checks to a file for `lvm-verify` to take in.

fn main() -> std::process::ExitCode {
    lvm_verify::neural::main()
}
