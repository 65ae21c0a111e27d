//! The words in which a case states its model, taken apart; whatever is not understood in full is not understood.

use super::columns::Columns;
use crate::case::{Case, CaseError};

/// A clause of `model.density`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Clause {
    /// `names ~ right`, or `name: flat …`.
    Sampled {
        /// What is sampled, without blanks and brackets (`beta[1]` is `beta1`).
        names: Vec<String>,
        /// The distribution, blanks kept.
        right: String,
    },
    /// Anything else, without blanks.
    Other(String),
}

/// A case's statement of its model, with its data.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Names of the parameters, as in clauses.
    pub(super) names: Vec<String>,
    /// Their supports: `real`, `positive`, …
    pub(super) supports: Vec<String>,
    /// `model.density`.
    pub(super) density: String,
    /// The same in clauses.
    pub(super) clauses: Vec<Clause>,
    /// `model.design`; empty if there is none.
    pub(super) design: String,
    /// `model.unconstrained`, without blanks.
    pub(super) unconstrained: String,
    /// The data.
    pub(super) columns: Columns,
}

impl Statement {
    /// Reads `model` and the data.
    ///
    /// # Errors
    /// If a field is missing or of the wrong type, or the data can't be read.
    pub(super) fn of(case: &Case) -> Result<Statement, CaseError> {
        let model = case.get("model")?;
        let parameters = model.get("parameters")?.list()?;
        let field = |name: &str| parameters.iter().map(|p| Ok(p.get(name)?.text()?.to_owned())).collect::<Result<Vec<_>, CaseError>>();
        Ok(Statement {
            names: field("name")?.iter().map(|n| bare(n)).collect(),
            supports: field("support")?,
            density: model.get("density")?.text()?.to_owned(),
            clauses: clauses(model.get("density")?.text()?),
            design: model.find("design").map_or(Ok(""), |d| d.text())?.to_owned(),
            unconstrained: squeeze(model.get("unconstrained")?.text()?),
            columns: Columns::of(case)?,
        })
    }

    /// The right side of the only clause that samples exactly `name`.
    pub(super) fn sampled(&self, name: &str) -> Option<&str> {
        let mut found = self.clauses.iter().filter_map(|c| match c {
            Clause::Sampled { names, right } if names.len() == 1 && names[0] == name => Some(right.as_str()),
            _ => None,
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// The clauses but for those that sample one of `names` alone.
    pub(super) fn without(&self, names: &[&str]) -> Vec<Clause> {
        let is_named = |c: &&Clause| matches!(c, Clause::Sampled { names: n, .. } if n.len() == 1 && names.contains(&n[0].as_str()));
        self.clauses.iter().filter(|c| !is_named(c)).cloned().collect()
    }

    /// The priors of `names`, in that order, if `clauses` state one for each and say nothing else. `others` stands for every name that has
    /// none of its own, and so does `flat priors`.
    pub(super) fn priors(clauses: &[Clause], names: &[String]) -> Option<Vec<Prior>> {
        let mut found: Vec<Option<Prior>> = vec![None; names.len()];
        let mut otherwise = None;
        for clause in clauses {
            match clause {
                Clause::Sampled { names: of, right } => {
                    for name in of {
                        let prior = Prior::read(right, name)?;
                        let place = match names.iter().position(|n| n == name || *name == format!("log{n}")) {
                            Some(j) => &mut found[j],
                            None if name == "others" => &mut otherwise,
                            None => return None,
                        };
                        if place.replace(prior).is_some() {
                            return None;
                        }
                    }
                }
                Clause::Other(text) if text == "flatpriors" || text.starts_with("flatpriors(") => otherwise = Some(Prior::Flat),
                Clause::Other(_) => return None,
            }
        }
        found.into_iter().map(|p| p.or(otherwise)).collect()
    }
}

/// A distribution of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// Density 1.
    Flat,
    /// Mean and standard deviation.
    Normal(f64, f64),
    /// |N(0, s²)|.
    HalfNormal(f64),
    /// |Cauchy(0, s)|.
    HalfCauchy(f64),
    /// Its logarithm has this mean and standard deviation.
    LogNormal(f64, f64),
    /// Shape and rate.
    Gamma(f64, f64),
    /// a and b.
    Beta(f64, f64),
}

impl Prior {
    /// The distribution `right` says for `name`; a density spelled out behind it must be the one meant.
    fn read(right: &str, name: &str) -> Option<Prior> {
        let text = squeeze(right);
        let number = |t: &str| t.parse::<f64>().ok();
        let pair = |t: Vec<String>| Some((number(&t[0])?, number(&t[1])?));
        if ["flat(density1)", "flatimproperdensity1on(0,inf)", "flat"].contains(&text.as_str()) {
            return Some(Prior::Flat);
        }
        if let Some(inner) = name.strip_prefix("log") {
            let (m, s) = pair(capture(&format!("Normal({{}},{{}})(densityinlog{inner};theJacobiancancels)"), &text)?)?;
            return Some(Prior::LogNormal(m, s));
        }
        if let Some(found) = capture(&format!("half-Cauchy(0,{{}}):logp=log(2/(pi*{{}}))-log(1+({name}/{{}})^2)"), &text) {
            return (found[0] == found[1] && found[1] == found[2]).then_some(Prior::HalfCauchy(number(&found[0])?));
        }
        if let Some(found) = capture(&format!("half-normal(0,{{}}):logp=log2-log({{}})-0.5log(2pi)-0.5({name}/{{}})^2"), &text) {
            return (found[0] == found[1] && found[1] == found[2]).then_some(Prior::HalfNormal(number(&found[0])?));
        }
        if let Some(found) = capture("half-normal(0,{})(density2N({}|0,{}))", &text) {
            return Some(Prior::HalfNormal(number(&found[0])?));
        }
        if let Some(found) = capture("half-Cauchy(0,{})", &text) {
            return Some(Prior::HalfCauchy(number(&found[0])?));
        }
        if let Some(found) = capture("half-normal(0,{})", &text) {
            return Some(Prior::HalfNormal(number(&found[0])?));
        }
        if let Some((m, s)) = capture("Normal({},{})", &text).and_then(pair) {
            return Some(Prior::Normal(m, s));
        }
        if let Some((a, b)) = capture("Gamma({},rate{})", &text).and_then(pair) {
            return Some(Prior::Gamma(a, b));
        }
        capture("Beta({},{})", &text).and_then(pair).map(|(a, b)| Prior::Beta(a, b))
    }
}

/// Without blanks.
pub(super) fn squeeze(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Without blanks and brackets.
fn bare(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace() && !"[]".contains(*c)).collect()
}

/// The parts of `text` between separators that stand outside all brackets.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// What stands in `text` in the places `{}` of `pattern`, each as short as can be, if the whole agrees.
pub(super) fn capture(pattern: &str, text: &str) -> Option<Vec<String>> {
    let mut pieces = pattern.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let end = match (piece, pieces.peek()) {
            ("", None) => rest.len(),
            // the last piece must end the text
            (piece, None) => rest.strip_suffix(piece)?.len(),
            (piece, Some(_)) => rest.find(piece)?,
        };
        found.push(rest[..end].to_owned());
        rest = &rest[end + piece.len()..];
    }
    rest.is_empty().then_some(found)
}

fn clauses(density: &str) -> Vec<Clause> {
    let is_name = |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "_[]".contains(c));
    let mut out = Vec::new();
    for statement in split(density, ';') {
        let mut waiting: Vec<String> = Vec::new();
        for item in split(statement, ',') {
            let left_and_right = match item.split_once('~') {
                Some((left, right)) => Some((left, right)),
                None => item.split_once(':').filter(|(_, right)| right.trim_start().starts_with("flat")),
            };
            match left_and_right {
                Some((left, right)) => {
                    let mut names = std::mem::take(&mut waiting);
                    names.push(bare(left));
                    out.push(Clause::Sampled { names, right: right.trim().to_owned() });
                }
                None if is_name(item) => waiting.push(bare(item)),
                None => {
                    out.extend(waiting.drain(..).map(Clause::Other));
                    out.push(Clause::Other(squeeze(item)));
                }
            }
        }
        out.extend(waiting.into_iter().map(Clause::Other));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_and_priors_are_read_in_full_or_not_at_all() {
        let names: Vec<String> = ["mu", "phi", "theta", "sigma"].map(String::from).into();
        let good = clauses("mu ~ Normal(0,10), phi, theta ~ Normal(0,2), sigma ~ half-Cauchy(0,2.5)");
        let expected = vec![Prior::Normal(0.0, 10.0), Prior::Normal(0.0, 2.0), Prior::Normal(0.0, 2.0), Prior::HalfCauchy(2.5)];
        assert_eq!(Statement::priors(&good, &names), Some(expected));
        // a distribution not known, a density that is not the one named, a parameter without a prior, a word too many
        for bad in [
            "mu ~ Laplace(0,10), phi, theta ~ Normal(0,2), sigma ~ half-Cauchy(0,2.5)",
            "mu, phi, theta ~ Normal(0,2), sigma ~ half-Cauchy(0, 2.5): log p = log(1/(pi*2.5)) - log(1 + (sigma/2.5)^2)",
            "mu, phi ~ Normal(0,2), sigma ~ half-Cauchy(0,2.5)",
            "mu, phi, theta ~ Normal(0,2), sigma ~ half-Cauchy(0,2.5); mu < 1",
        ] {
            assert_eq!(Statement::priors(&clauses(bad), &names), None, "{bad}");
        }
    }

    #[test]
    fn capture_needs_the_whole_text() {
        assert_eq!(capture("Normal({},{})", "Normal(0,2.5)").unwrap(), ["0", "2.5"]);
        assert_eq!(capture("Normal({},{})", "Normal(0,2.5)T[0,]"), None);
    }
}
