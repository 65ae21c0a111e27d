//! One cell of a text file: a number, a marker for "missing", or text.

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// A number; it may be infinite.
    Number(f64),
    /// Nothing, or a marker for it.
    Missing,
    /// A number with a decimal comma or grouped thousands.
    Comma,
    /// Anything else.
    Text,
}

/// The markers for a missing cell, in lower case.
const MISSING: [&[u8]; 6] = [b"na", b"n/a", b"nan", b"null", b"none", b"?"];

impl Value {
    pub(crate) fn parse(cell: &[u8]) -> Self {
        let cell = cell.trim_ascii();
        match cell.first() {
            None => return Value::Missing,
            // Most cells are numbers, and no marker starts like one.
            Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'i' | b'I') => {}
            Some(_) => {
                let missing = cell.len() <= 4 && MISSING.iter().any(|m| cell.eq_ignore_ascii_case(m));
                return if missing { Value::Missing } else { Value::Text };
            }
        }
        match std::str::from_utf8(cell).ok().and_then(|text| text.parse::<f64>().ok()) {
            Some(number) if number.is_nan() => Value::Missing,
            Some(number) => Value::Number(number),
            None if is_comma_number(cell) => Value::Comma,
            None => Value::Text,
        }
    }
}

/// Whether the cell would be a number if commas were allowed in it: `3,5`, `1,234.5`, `-1,5e-3`.
fn is_comma_number(cell: &[u8]) -> bool {
    let digits = cell.strip_prefix(b"-").or(cell.strip_prefix(b"+")).unwrap_or(cell);
    digits.first().is_some_and(u8::is_ascii_digit)
        && digits.contains(&b',')
        && digits.iter().all(|b| b.is_ascii_digit() || matches!(b, b',' | b'.' | b'e' | b'E' | b'-' | b'+'))
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn cells() {
        for (text, number) in
            [("1", 1.0), (" -2.5\t", -2.5), ("1e5", 1e5), ("+.5", 0.5), ("3.", 3.0), ("1E-3", 1e-3), ("0.1", 0.1), ("inf", f64::INFINITY)]
        {
            assert_eq!(Value::parse(text.as_bytes()), Value::Number(number), "{text}");
        }
        for text in ["", " ", "NA", "na", "N/A", "NaN", "nan", "-nan", "null", "NULL", "None", "?"] {
            assert_eq!(Value::parse(text.as_bytes()), Value::Missing, "{text}");
        }
        for text in ["3,5", "-1,5e-3", "1,234.5"] {
            assert_eq!(Value::parse(text.as_bytes()), Value::Comma, "{text}");
        }
        for text in ["setosa", "1.2.3", "12a", "1_000", "0x10", "--1", "12:30", "2020-01-01", "\u{2212}1"] {
            assert_eq!(Value::parse(text.as_bytes()), Value::Text, "{text}");
        }
    }
}
