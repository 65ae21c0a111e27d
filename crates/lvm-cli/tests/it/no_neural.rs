//! A build without neural models says so, and what to do.

use crate::harness::iris;

#[test]
fn neural_commands_say_how_to_get_them() {
    let folder = iris();
    for line in
        ["fit vae iris.csv --latents 2 -o m.lvm", "resume c.ckpt iris.csv", "reconstruct m.lvm iris.csv", "interpolate --rows 0,1", "ood"]
    {
        folder.refused(line, 2, &["no neural models", "cargo xtask setup", "cargo install --path crates/lvm-cli --features deep"]);
    }
}

#[test]
fn a_neural_model_is_known_by_its_header() {
    let inner = r#"{\"format\":\"lvm-model\",\"version\":1,\"kind\":\"vae\"}"#;
    let header = format!(r#"{{"__metadata__":{{"lvm-model":"{inner}"}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    let folder = iris().with("m.lvm", bytes);
    folder.refused("score m.lvm iris.csv", 1, &["m.lvm", "variational autoencoder", "--features deep"]);
}

#[test]
fn the_doctor_tells_that_there_is_no_libtorch() {
    let folder = iris();
    assert!(folder.json("doctor")["neural"].is_null());
    assert!(folder.fine("doctor").contains("--features deep"));
}
