//! The sentences of `model.density`: what is sampled from what, what is defined, over which indices.

use super::super::text::split;

/// A sentence.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sentence {
    /// `left, left ~ right`.
    Sampled { left: Vec<String>, right: String },
    /// `left = right`.
    Defined { left: String, right: String },
    /// `t = first..last`.
    Range { letter: String, first: String, last: String },
    /// `name: flat …`, or `flat priors`: then for everything that has no prior of its own.
    Flat { names: Vec<String> },
    /// `(a, b) ordered pair of D`.
    Ordered { names: Vec<String>, right: String },
    /// `sigma: density 1/sigma on (0,inf)`, `p(sigma) = 1/sigma`.
    Density { name: String, right: String },
}

/// The sentences of a density; the words that are none. Remarks in prose, and constraints that repeat the supports, are passed over: what a
/// misreading leaves out or puts in shows at the log joints that a case brings with it (L1).
pub(super) fn sentences(density: &str) -> Result<Vec<Sentence>, String> {
    let mut out = Vec::new();
    for statement in split(density.trim_end_matches('.'), ';') {
        let mut waiting: Vec<String> = Vec::new();
        for item in split(statement, ',') {
            let item = item.strip_prefix("with ").or(item.strip_prefix("where ")).unwrap_or(item).trim();
            if item.is_empty() {
                continue;
            }
            let names = |last: &str, waiting: &mut Vec<String>| {
                let mut all = std::mem::take(waiting);
                all.extend(last.split(" and ").map(|n| n.trim().to_owned()));
                all
            };
            let lower = item.to_lowercase();
            if let Some((left, right)) = item.split_once('~') {
                let left = names(left, &mut waiting);
                // `z_c ~ Normal(0,1) for c = 1..J`
                let (right, range) = right.split_once(" for ").map_or((right, None), |(r, f)| (r, Some(f)));
                out.push(Sentence::Sampled { left, right: right.trim().to_owned() });
                if let Some(range) = range {
                    out.push(self::range(range).ok_or_else(|| format!("\"{}\"", range.trim()))?);
                }
            } else if lower.starts_with("flat priors") || lower.starts_with("flat prior") {
                let rest = item.split_once(" on ").map(|(_, r)| r.trim().to_owned());
                // `flat priors on alpha`, `flat priors (a remark)`
                let on = rest.filter(|_| !item.contains('('));
                out.push(Sentence::Flat { names: on.into_iter().collect() });
            } else if let Some((left, _)) = item.split_once(':').filter(|(_, right)| right.trim_start().starts_with("flat")) {
                out.push(Sentence::Flat { names: names(left, &mut waiting) });
            } else if let Some((pair, right)) = item.split_once(" ordered pair of ") {
                let inner = pair.trim().strip_prefix('(').and_then(|p| p.strip_suffix(')')).ok_or_else(|| format!("\"{item}\""))?;
                let right = right.split_once(": density").map_or(right, |(r, _)| r);
                out.push(Sentence::Ordered { names: split(inner, ',').iter().map(|n| (*n).to_owned()).collect(), right: right.to_owned() });
            } else if let Some(range) = range(item) {
                out.push(range);
            } else if let Some((name, right)) = density_of(item) {
                out.push(Sentence::Density { name, right });
            } else if let Some((left, right)) = item.split_once('=').filter(|(l, r)| !r.starts_with('=') && !l.ends_with(['<', '>'])) {
                out.push(Sentence::Defined { left: left.trim().to_owned(), right: right.trim().to_owned() });
            } else if item.chars().all(|c| c.is_ascii_alphanumeric() || "_[]{}".contains(c)) {
                waiting.push(item.to_owned());
            } else if item.contains(['<', '>', '≤', '≥']) || item.contains(" in (") || is_prose(item) {
                waiting.clear();
            } else {
                return Err(format!("\"{item}\""));
            }
        }
        if !waiting.is_empty() {
            return Err(format!("\"{}\"", waiting.join(", ")));
        }
    }
    Ok(out)
}

/// Words between blanks, no formula.
fn is_prose(item: &str) -> bool {
    item.contains(' ') && item.chars().all(|c| c.is_alphanumeric() || " -'.:_\"".contains(c))
}

/// `sigma: density 1/sigma on (0,inf)`, `p(sigma) = 1/sigma`.
fn density_of(item: &str) -> Option<(String, String)> {
    let without_range = |right: &str| right.split(" on ").next().unwrap_or(right).trim().to_owned();
    if let Some((name, right)) = item.split_once(':') {
        let right = right.trim().trim_start_matches("improper ").strip_prefix("density ")?;
        return Some((name.trim().to_owned(), without_range(right)));
    }
    let (left, right) = item.split_once(['=', '∝'])?;
    let name = left.trim().strip_prefix("p(")?.strip_suffix(')')?;
    (!name.contains(['|', ','])).then(|| (name.to_owned(), without_range(right)))
}

/// `i = 1..434`, `for t = 2..T`, `t in 1..N`.
fn range(text: &str) -> Option<Sentence> {
    let text = text.trim().strip_prefix("for ").unwrap_or(text.trim());
    let (letter, rest) = text.split_once('=').or_else(|| text.split_once(" in "))?;
    let (first, last) = rest.split_once("...").or_else(|| rest.split_once(".."))?;
    let letter = letter.trim();
    (letter.len() == 1).then(|| Sentence::Range {
        letter: letter.to_owned(),
        first: first.trim().trim_end_matches(',').to_owned(),
        last: last.trim().trim_start_matches(',').to_owned(),
    })
}

/// One part of a right side: `weight Distribution(arguments)`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Empty where there is none.
    pub(super) weight: String,
    pub(super) distribution: String,
    pub(super) arguments: Vec<String>,
}

/// The parts of a right side, one but for mixtures, and the words behind the last bracket.
pub(super) fn parts(right: &str) -> Result<(Vec<Part>, String), String> {
    let unknown = || format!("\"{right}\" names no distribution known here");
    let mut out = Vec::new();
    let mut rest = right.trim();
    loop {
        let (start, open, name) = calls(rest).next().ok_or_else(unknown)?;
        let close = closing(rest, open).ok_or_else(unknown)?;
        let inner = &rest[open + 1..close];
        out.push(Part {
            weight: rest[..start].trim().trim_end_matches('*').trim().to_owned(),
            distribution: name.to_owned(),
            arguments: split(inner, ',').into_iter().map(str::to_owned).collect(),
        });
        rest = rest[close + 1..].trim();
        match rest.strip_prefix('+') {
            Some(more) => rest = more.trim(),
            None => return Ok((out, rest.to_owned())),
        }
    }
}

/// (start, bracket, name) of the calls in `text` whose name is a distribution.
fn calls(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    text.match_indices('(').filter_map(move |(open, _)| {
        let before = &text[..open];
        let start = before.rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-+".contains(c))).map_or(0, |i| i + 1);
        let name = before[start..].trim_start_matches(['+', '-']);
        (!name.is_empty() && super::distribution::named(name).is_some()).then_some((open - name.len(), open, name))
    })
}

/// The bracket that closes the one at `open`.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (i, c) in text[open..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + i);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_ranges_and_parts_are_told_apart() {
        let all =
            sentences("y_t ~ Normal(mu, s_t), t = 2..T; s_t^2 = a + b y_{t-1}^2; a, b ~ Gamma(2, rate 1); c: flat (density 1)").unwrap();
        assert_eq!(all.len(), 5);
        assert_eq!(all[1], Sentence::Range { letter: "t".into(), first: "2".into(), last: "T".into() });
        assert!(matches!(&all[2], Sentence::Defined { left, .. } if left == "s_t^2"));
        assert!(matches!(&all[3], Sentence::Sampled { left, .. } if left == &["a", "b"]));
        assert!(sentences("y ~ Normal(0, 1); exp(the rest)").is_err());
        let all = sentences("y ~ Normal(0, s); s: density 1/s on (0,inf); a, b > 0; all of it independent").unwrap();
        assert_eq!(all[1..], [Sentence::Density { name: "s".into(), right: "1/s".into() }]);
        let (mixture, rest) = parts("theta N(mu1, sigma1) + (1-theta) N(mu2, sigma2)").unwrap();
        assert_eq!((mixture.len(), rest.as_str(), mixture[1].weight.as_str()), (2, "", "(1-theta)"));
        let (one, rest) = parts("half-Cauchy(0, 5.0): log p = 1").unwrap();
        assert_eq!((one[0].distribution.as_str(), rest.as_str()), ("half-Cauchy", ": log p = 1"));
        assert!(parts("Wish(3)").is_err());
    }
}
