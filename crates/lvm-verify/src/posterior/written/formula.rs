//! The formulas of a statement as trees: `alpha_{county(i)} + beta1 log_uppm_i`, `mu + tau z_j`, `logit^-1(a_i (theta_j - b_i))`.

/// A formula.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    /// 2.5
    Number(f64),
    /// `beta1`, `y_i`, `alpha_{county(i)}`, `y[i, j]`: a word and the indices that stand in brackets behind it.
    Name(String, Vec<Formula>),
    /// `exp(a)`, `county(i)`, `beta1(x_i - 3)`: a word with a bracket directly behind it.
    Call(String, Vec<Formula>),
    /// a + b
    Sum(Box<Formula>, Box<Formula>),
    /// a − b
    Difference(Box<Formula>, Box<Formula>),
    /// a b
    Product(Box<Formula>, Box<Formula>),
    /// a / b
    Quotient(Box<Formula>, Box<Formula>),
    /// a ^ b
    Power(Box<Formula>, Box<Formula>),
    /// x_i · β
    Inner(Box<Formula>, Box<Formula>),
    /// \[a == b\]
    Equal(Box<Formula>, Box<Formula>),
}

/// Reads a formula; the reason if it is none.
pub(super) fn read(text: &str) -> Result<Formula, String> {
    let mut reader = Reader { rest: text.trim() };
    let formula = reader.sum().ok_or_else(|| format!("\"{}\" can't be read as a formula", text.trim()))?;
    match reader.rest.is_empty() {
        true => Ok(formula),
        false => Err(format!("\"{}\" in \"{}\" can't be read", reader.rest, text.trim())),
    }
}

/// Recursive descent; a product may be written without its sign.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(token)?.trim_start();
        Some(())
    }

    fn run(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (found, rest) = self.rest.split_at(end);
        self.rest = rest;
        found
    }

    /// Whether a factor comes next, behind blanks.
    fn starts_factor(&self) -> bool {
        self.rest.trim_start().starts_with(|c: char| c.is_ascii_alphanumeric() || "_([".contains(c))
    }

    fn sum(&mut self) -> Option<Formula> {
        let mut value = match self.take("-") {
            Some(()) => Formula::Product(Box::new(Formula::Number(-1.0)), Box::new(self.product()?)),
            None => self.product()?,
        };
        loop {
            value = if self.take("+").is_some() {
                Formula::Sum(Box::new(value), Box::new(self.product()?))
            } else if self.take("-").or_else(|| self.take("−")).is_some() {
                Formula::Difference(Box::new(value), Box::new(self.product()?))
            } else {
                return Some(value);
            };
        }
    }

    fn product(&mut self) -> Option<Formula> {
        let mut value = self.power()?;
        loop {
            let is_inner = self.rest.strip_prefix('.').is_some_and(|r| !r.starts_with(|c: char| c.is_ascii_digit()));
            value = if self.take("/").is_some() {
                Formula::Quotient(Box::new(value), Box::new(self.power()?))
            } else if is_inner || self.rest.starts_with('\'') || self.rest.starts_with("^T") || self.rest.starts_with('·') {
                for sign in [".", "'", "^T", "·"] {
                    let _ = self.take(sign);
                }
                Formula::Inner(Box::new(value), Box::new(self.power()?))
            } else if self.take("*").is_some() || self.take("×").is_some() || self.starts_factor() {
                Formula::Product(Box::new(value), Box::new(self.power()?))
            } else {
                return Some(value);
            };
        }
    }

    fn power(&mut self) -> Option<Formula> {
        let base = self.factor()?;
        if self.rest.starts_with("^T") {
            return Some(base);
        }
        match self.take("^") {
            Some(()) => {
                let exponent = match self.take("-") {
                    Some(()) => Formula::Product(Box::new(Formula::Number(-1.0)), Box::new(self.factor()?)),
                    None => self.factor()?,
                };
                Some(Formula::Power(Box::new(base), Box::new(exponent)))
            }
            None => Some(base),
        }
    }

    /// Formulas between commas, and the closing bracket.
    fn list(&mut self, close: &str) -> Option<Vec<Formula>> {
        let mut all = vec![self.sum()?];
        while self.take(",").is_some() {
            all.push(self.sum()?);
        }
        self.rest = self.rest.strip_prefix(close)?;
        Some(all)
    }

    fn factor(&mut self) -> Option<Formula> {
        if self.take("(").is_some() {
            let value = self.sum()?;
            self.take(")")?;
            return Some(value);
        }
        if self.take("[").is_some() {
            let left = self.sum()?;
            self.take("==")?;
            let right = self.sum()?;
            self.take("]")?;
            return Some(Formula::Equal(Box::new(left), Box::new(right)));
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return self.number();
        }
        let mut word = self.run(|c| c.is_ascii_alphanumeric() || c == '_').to_owned();
        if word.is_empty() {
            return None;
        }
        for (spoken, name) in [("^-1(", "logit"), ("^{-1}(", "logit")] {
            if word == name && self.rest.starts_with(spoken) {
                self.rest = &self.rest[spoken.len() - 1..];
                word = "inv_logit".to_owned();
            }
        }
        let value = if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest.trim_start();
            Formula::Name(word.trim_end_matches('_').to_owned(), self.list("}")?)
        } else if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest.trim_start();
            Formula::Name(word, self.list("]")?)
        } else if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest.trim_start();
            Formula::Call(word, self.list(")")?)
        } else if ["log", "exp", "sqrt"].contains(&word.as_str()) && self.rest.starts_with(' ') && self.starts_factor() {
            // `log 2`, `log sigma^2`: a function takes the power behind it
            self.rest = self.rest.trim_start();
            Formula::Call(word, vec![self.power()?])
        } else {
            Formula::Name(word, Vec::new())
        };
        self.rest = self.rest.trim_start();
        Some(value)
    }

    fn number(&mut self) -> Option<Formula> {
        let start = self.rest;
        let mut end = self.run(|c| c.is_ascii_digit() || c == '.').len();
        // 1e-3, but not the e of a name
        if let Some(exponent) = self.rest.strip_prefix(['e', 'E']) {
            let signed = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let digits = signed.find(|c: char| !c.is_ascii_digit()).unwrap_or(signed.len());
            if digits > 0 {
                end += 1 + (exponent.len() - signed.len()) + digits;
            }
        }
        self.rest = start[end..].trim_start();
        start[..end].parse().ok().map(Formula::Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscripts_products_and_inner_products_are_read() {
        let shown = |t: &str| format!("{:?}", read(t).unwrap());
        assert_eq!(shown("beta1 t^2"), shown("beta1*(t^2)"));
        assert_eq!(shown("phi y_{t-1}"), "Product(Name(\"phi\", []), Name(\"y\", [Difference(Name(\"t\", []), Number(1.0))]))");
        assert!(shown("alpha_{county(i)}").starts_with("Name(\"alpha\", [Call(\"county\""));
        assert!(shown("x_i . beta").starts_with("Inner("));
        assert_eq!(shown("x_i' beta"), shown("x_i . beta"));
        assert_eq!(shown("1e-3"), "Number(0.001)");
        assert!(shown("logit^-1(a)").starts_with("Call(\"inv_logit\""));
        assert_eq!(shown("log 2 - log sigma^2"), shown("log(2) - log(sigma^2)"));
        for bad in ["", "a +", "(a", "a ) b", "a ~ b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
