//! Aligned columns of text.

/// Width that a grid may take.
const WIDTH: usize = 110;

/// Names on the left, numbers flush right; columns that do not fit are counted in a last line.
pub(crate) fn grid(header: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|j| rows.iter().filter_map(|row| row.get(j)).chain([&header[j]]).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut used = 0;
    let shown = widths.iter().take_while(|width| {
        used += *width + 2;
        used <= WIDTH + 2
    });
    let shown = shown.count().max(1);
    let mut text = String::new();
    for row in std::iter::once(header).chain(rows.iter().map(Vec::as_slice)) {
        let mut line = String::new();
        for (j, cell) in row.iter().take(shown).enumerate() {
            let width = widths[j];
            match j {
                0 => line += &format!("{cell:<width$}"),
                _ => line += &format!("  {cell:>width$}"),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    if shown < header.len() {
        text += &format!("({} more columns; --json has them all)\n", header.len() - shown);
    }
    text
}

/// A number for people: four digits after the point, or in powers of ten.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e7).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.4e}"),
    }
}

/// `1 row`, `2 rows`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let strings = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let text = grid(&strings(&["k", "weight"]), &[strings(&["0", "0.5"]), strings(&["10", "0.25"])]);
        assert_eq!(text, "k   weight\n0      0.5\n10    0.25\n");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let header: Vec<String> = (0..30).map(|j| format!("column_{j:02}")).collect();
        let text = grid(&header, &[]);
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.contains("(21 more columns"), "{text}");
    }

    #[test]
    fn numbers_keep_a_readable_size() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(-1130.26396), "-1130.2640");
        assert_eq!(number(1.5e-9), "1.5000e-9");
    }
}
