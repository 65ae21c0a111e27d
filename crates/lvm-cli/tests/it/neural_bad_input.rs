//! Each message says what, where and what to do.

use crate::harness::iris;

#[test]
fn what_does_not_fit_the_likelihood() {
    let folder = iris();
    folder.refused("fit vae iris.csv --likelihood bernoulli", 1, &["iris.csv", "line ", "Sepal.Length", "0 or 1", "gaussian"]);
    folder.refused("fit vae iris.csv --likelihood poisson -o m.lvm", 1, &["iris.csv", "line ", "--likelihood"]);
    let negative = "a,b\n1,2\n3,-4\n5,6\n";
    folder.with("n.csv", negative).refused("fit vae n.csv --likelihood poisson", 1, &["line 3", "\"b\"", "-4", "gaussian"]);
}

#[test]
fn settings_that_make_no_sense() {
    let folder = iris()
        .with("bad.toml", "[training]\nepoch = 3\n")
        .with("broken.toml", "[training\n")
        .with("type.toml", "[model]\nlatents = \"two\"\n");
    folder.refused("fit vae iris.csv --batch-size 1000", 1, &["batch_size", "1000", "135 rows", "--batch-size"]);
    folder.refused("fit vae iris.csv --config bad.toml", 1, &["bad.toml", "training.epoch", "--print-config"]);
    folder.refused("fit vae iris.csv --config broken.toml", 1, &["broken.toml", "--print-config"]);
    folder.refused("fit vae iris.csv --config type.toml", 1, &["type.toml", "two", "--print-config"]);
    folder.refused("fit vae iris.csv --config none.toml", 1, &["none.toml"]);
    folder.refused("fit vae iris.csv --set training.epochs", 2, &["KEY=VALUE"]);
    folder.refused("fit vae iris.csv --held-out 0 --patience 3", 1, &["patience", "--held-out"]);
    folder.refused("fit vae iris.csv --device tpu", 2, &["--device", "cpu"]);
    folder.refused("fit vae iris.csv --device cuda:63", 1, &["cuda:63", "lvm doctor"]);
    folder.refused("fit vae iris.csv --standardise yes --likelihood gaussian-shared", 1, &["standardise", "--standardise no"]);
    folder.refused("fit vae iris.csv -o m.lvm --checkpoint m.lvm", 2, &["--checkpoint", "same file"]);
    folder.refused("fit vae iris.csv --checkpoint nowhere/c.ckpt", 1, &["nowhere"]);
    folder.refused("fit vae iris.csv --set run.held_out=2", 1, &["run.held_out", "0 to below 1"]);
}

#[test]
fn files_that_are_something_else() {
    let folder = iris();
    folder.fine("fit vae iris.csv --epochs 2 --checkpoint c.ckpt -o m.lvm");
    let bytes = std::fs::read(folder.path("c.ckpt")).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 5] ^= 1;
    let few: String = folder.read("iris.csv").lines().take(40).map(|line| format!("{line}\n")).collect();
    let folder = folder.with("cut.ckpt", &bytes[..bytes.len() / 2]).with("damaged.ckpt", damaged).with("few.csv", few);
    folder.refused("resume cut.ckpt iris.csv", 1, &["cut.ckpt", "cut short"]);
    folder.refused("resume damaged.ckpt iris.csv", 1, &["damaged.ckpt", "checksum"]);
    folder.refused("resume m.lvm iris.csv", 1, &["m.lvm", "--checkpoint"]);
    folder.refused("resume c.ckpt few.csv", 1, &["few.csv", "39 rows", "150"]);
    folder.refused("resume c.ckpt iris.csv --epochs 1", 2, &["--epochs 1", "2"]);
    folder.refused("score c.ckpt iris.csv", 1, &["c.ckpt", "lvm resume"]);
    folder.refused("interpolate m.lvm iris.csv --rows 0,150", 1, &["no row 150", "149"]);
    folder.refused("interpolate m.lvm iris.csv --rows 0", 2, &["--rows"]);
    folder.refused("sample m.lvm -n 2 --latent 1", 2, &["--latent", "2 latents"]);
    folder.refused("reconstruct iris.csv iris.csv", 1, &["iris.csv"]);
    folder.fine("fit gmm iris.csv -k 1 -o g.lvm");
    folder.refused("reconstruct g.lvm iris.csv", 1, &["g.lvm", "gmm"]);
    folder.refused("score g.lvm iris.csv --estimator elbo", 2, &["--estimator", "gmm"]);
    folder.refused("sample g.lvm -n 2 --means", 2, &["--means", "gmm"]);
    for line in ["sample g.lvm -n 2 --like iris.csv", "plot samples g.lvm --like iris.csv -o z.svg"] {
        folder.refused(line, 2, &["--like is for neural models", "gmm"]);
    }
    folder.refused("plot latent g.lvm iris.csv --condition-from iris.csv -o z.svg", 2, &["--condition-from", "gmm"]);
}

#[test]
fn tables_that_can_t_be_used() {
    let folder = iris();
    folder.fine("fit vae iris.csv --epochs 2 --checkpoint c.ckpt -o m.lvm");
    let text = folder.read("iris.csv");
    let (header, rows) = text.split_once('\n').unwrap();
    let nan = text.replacen("5.1", "nan", 1);
    let blank = format!("{header}\n{rows},,,\n");
    let folder = folder
        .with("nan.csv", nan)
        .with("blank.csv", blank)
        .with("empty.csv", "")
        .with("header.csv", format!("{header}\n"))
        .with("wide.csv", "a,b,c\n1,2,3\n");
    for line in
        ["score m.lvm nan.csv", "ood m.lvm nan.csv --against iris.csv", "ood m.lvm iris.csv --against nan.csv", "resume c.ckpt nan.csv"]
    {
        folder.refused(line, 1, &["nan.csv", "line 2", "--missing"]);
    }
    for line in ["fit vae blank.csv --missing --epochs 2", "score m.lvm blank.csv --missing", "impute m.lvm blank.csv"] {
        folder.refused(line, 1, &["blank.csv", "every cell is missing", "row 150"]);
    }
    for line in ["fit vae empty.csv", "score m.lvm empty.csv", "resume c.ckpt empty.csv"] {
        folder.refused(line, 1, &["empty.csv"]);
    }
    folder.refused("fit vae header.csv", 1, &["header.csv"]);
    folder.refused("reconstruct m.lvm wide.csv", 1, &["wide.csv", "Sepal.Length"]);
    folder.refused("plot latent m.lvm nan.csv -o z.svg", 1, &["nan.csv", "--missing"]);
}
