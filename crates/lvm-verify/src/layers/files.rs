//! F2: a model file gives back the model that was written, bit for bit; cut short, damaged or of another version it is refused.

use crate::check::Layer;
use crate::suite::{Group, Outcome, Problem, Suite};
use crate::tables;
use lvm_core::fa::FaMl;
use lvm_core::file::{Header, Model};
use lvm_core::gmm::{CovarianceType, GmmEm};
use lvm_core::ppca::PpcaMl;
use ndarray::Array2;

/// Every kind of model file.
pub fn all(suite: &mut Suite<'_>) {
    for kind in CovarianceType::ALL {
        suite.group(Layer::F, "F2", &format!("model file of an iris {kind} mixture"), |g| {
            round_trip(g, |g, x| {
                let algorithm = GmmEm { components: 3, covariance: kind, ..Default::default() };
                Ok(g.subject.fit_mixture(&algorithm, x, 0)?.model.into())
            })
        });
    }
    suite.group(Layer::F, "F2", "model file of PPCA of iris", |g| {
        round_trip(g, |g, x| Ok(g.subject.fit_ppca(&PpcaMl { components: 2, ..Default::default() }, x, 0)?.model.into()))
    });
    suite.group(Layer::F, "F2", "model file of factor analysis of iris", |g| {
        round_trip(g, |g, x| Ok(g.subject.fit_factors(&FaMl::default(), x, 0)?.model.into()))
    });
}

/// log p(x_n), by whichever model it is.
fn densities(g: &Group<'_>, model: &Model, x: &Array2<f64>) -> Result<Vec<f64>, Problem> {
    Ok(match model {
        Model::Gmm(m) => g.subject.mixture_evidence(m, x)?.to_vec(),
        Model::Ppca(m) => g.subject.ppca_evidence(m, x)?.to_vec(),
        Model::Fa(m) => g.subject.factor_evidence(m, x)?.to_vec(),
        other => return Err(Problem(format!("no densities for a model of kind {}", other.kind()))),
    })
}

fn round_trip(g: &mut Group<'_>, fit: impl FnOnce(&Group<'_>, &Array2<f64>) -> Result<Model, Problem>) -> Outcome {
    let x = tables::real("iris")?.x;
    let model = fit(g, &x)?;
    let header = Header { columns: ["a", "b", "c", "d"].map(String::from).to_vec(), ..Header::default() };
    let bytes = g.subject.encode(&model, &header)?;
    let (read, read_header) = g.subject.decode(&bytes)?;

    let same = read == model && read_header == header;
    g.holds("read back", format!("equal: {same}"), "equal: true", same, "what was written is what is read");
    g.bits("log p(x) of the model read back", &densities(g, &read, &x)?, &densities(g, &model, &x)?, "every parameter to its last bit");
    let again = g.subject.encode(&read, &read_header)? == bytes;
    g.holds("written again", format!("the same bytes: {again}"), "the same bytes: true", again, "one model, one file");

    let cuts = [0, 1, 7, 8, 9, bytes.len() / 4, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1];
    let taken = cuts.iter().filter(|&&n| g.subject.decode(&bytes[..n]).is_ok()).count();
    g.holds("cut short at nine places", format!("{taken} taken"), "0 taken", taken == 0, "a file is read whole or not at all");
    let longer = g.subject.decode(&[bytes.as_slice(), &[0; 8]].concat()).is_ok();
    g.holds("eight bytes too many", if longer { "taken" } else { "refused" }, "refused", !longer, "as many numbers as were written");
    // the top bit of the last parameter: a number that is plausible and wrong
    let mut damaged = bytes.clone();
    if let Some(last) = damaged.last_mut() {
        *last ^= 0x80;
    }
    let taken = g.subject.decode(&damaged).is_ok();
    g.holds(
        "one bit of a parameter changed",
        if taken { "taken" } else { "refused" },
        "refused",
        !taken,
        "the checksum covers every number",
    );

    let other = with_version(&bytes, b'2').ok_or_else(|| Problem("the file does not say its version".into()))?;
    let found = g.subject.decode(&other).err().map(|e| e.to_string());
    let named = found.as_ref().is_some_and(|text| text.contains("version 2"));
    g.holds(
        "another version",
        found.unwrap_or_else(|| "taken".into()),
        "refused, and the version named",
        named,
        "a later version may mean other things by the same names",
    );
    Ok(())
}

/// The same file with another version in its header; `None` if the header has none.
pub(crate) fn with_version(bytes: &[u8], version: u8) -> Option<Vec<u8>> {
    const FIELD: &[u8] = br#"\"version\":"#;
    let at = bytes.windows(FIELD.len()).position(|w| w == FIELD)? + FIELD.len();
    let mut out = bytes.to_vec();
    *out.get_mut(at)? = version;
    Some(out)
}
