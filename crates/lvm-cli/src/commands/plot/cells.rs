//! Rows of a table as pictures: distributions of columns, columns against each other, cells against what a model makes of them.

use crate::figure::{Bounds, GREY, INK, Legend, Marks, Panel, Panels, group, histogram};
use ndarray::Array2;

/// Columns of which all pairs are drawn.
const PAIRS: usize = 6;
/// Columns that are drawn at most.
const COLUMNS: usize = 16;

/// The distribution of samples, beside that of given rows if there are some: pairs of a few columns, else each for itself.
pub(super) fn samples(title: String, columns: &[String], drawn: &Array2<f64>, data: Option<&Array2<f64>>) -> (&'static str, Panels) {
    let keys = |data: bool| match data {
        true => vec![("rows of DATA".to_owned(), GREY), ("samples".to_owned(), group(1))],
        false => vec![("samples".to_owned(), group(0))],
    };
    let legend = Legend::Keys { title: String::new(), keys: keys(data.is_some()) };
    let d = columns.len();
    let note =
        format!("{} samples{}", drawn.nrows(), if d > COLUMNS { format!("; the first {COLUMNS} of {d} columns") } else { String::new() });
    match d {
        2..=PAIRS => ("pairs", Panels { title, note, columns: d, panels: pairs(columns, drawn, data), legend }),
        _ => {
            let shown = d.min(COLUMNS);
            let panels = (0..shown).map(|j| Some(distribution(columns, drawn, data, j, true))).collect();
            ("histograms", Panels { title, note, columns: across(shown), panels, legend })
        }
    }
}

/// How many charts stand side by side.
fn across(charts: usize) -> usize {
    match charts {
        0..=1 => 1,
        2..=4 => 2,
        5..=9 => 3,
        _ => 4,
    }
}

fn distribution(columns: &[String], drawn: &Array2<f64>, data: Option<&Array2<f64>>, j: usize, named: bool) -> Panel {
    let of = |x: &Array2<f64>| x.column(j).to_vec();
    let lists: Vec<Vec<f64>> = data.into_iter().map(of).chain([of(drawn)]).collect();
    let (edges, heights) = histogram(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let mut marks = Vec::new();
    let colour = if data.is_some() { group(1) } else { group(0) };
    if let Some(heights) = data.map(|_| heights[0].clone()) {
        marks.push(Marks::Bars { edges: edges.clone(), heights, colour: GREY, filled: true });
    } else {
        marks.push(Marks::Bars { edges: edges.clone(), heights: heights[0].clone(), colour, filled: true });
    }
    marks.push(Marks::Bars { edges: edges.clone(), heights: heights[heights.len() - 1].clone(), colour, filled: false });
    Panel {
        title: if named { columns[j].clone() } else { String::new() },
        x_name: String::new(),
        y_name: String::new(),
        x: Bounds::around(edges.iter().copied()),
        y: Bounds::up_to(heights.iter().flatten().copied()),
        marks,
    }
}

/// Distributions on the diagonal, columns against each other below it.
fn pairs(columns: &[String], drawn: &Array2<f64>, data: Option<&Array2<f64>>) -> Vec<Option<Panel>> {
    let d = columns.len();
    let points = |x: &Array2<f64>, i: usize, j: usize| x.rows().into_iter().map(|row| [row[j], row[i]]).collect::<Vec<[f64; 2]>>();
    let colour = if data.is_some() { group(1) } else { group(0) };
    let of = |i: usize, j: usize| -> Option<Panel> {
        if j > i {
            return None;
        }
        if i == j {
            return Some(distribution(columns, drawn, data, j, true));
        }
        let all: Vec<[f64; 2]> = data.into_iter().chain([drawn]).flat_map(|x| points(x, i, j)).collect();
        let mut marks: Vec<Marks> =
            data.iter().map(|x| Marks::Points { points: points(x, i, j), colours: vec![GREY], radius: 1.6 }).collect();
        marks.push(Marks::Points { points: points(drawn, i, j), colours: vec![colour], radius: 1.6 });
        Some(Panel {
            title: String::new(),
            x_name: columns[j].clone(),
            y_name: columns[i].clone(),
            x: Bounds::around(all.iter().map(|p| p[0])),
            y: Bounds::around(all.iter().map(|p| p[1])),
            marks,
        })
    };
    (0..d).flat_map(|i| (0..d).map(move |j| (i, j))).map(|(i, j)| of(i, j)).collect()
}

/// Cells against what the model makes of them, column by column.
pub(super) fn against(title: String, columns: &[String], x: &Array2<f64>, made: &Array2<f64>) -> Panels {
    let shown = columns.len().min(COLUMNS);
    let panel = |j: usize| {
        let points: Vec<[f64; 2]> = x.column(j).iter().zip(made.column(j)).map(|(a, b)| [*a, *b]).collect();
        let bounds = Bounds::around(points.iter().flatten().copied());
        let (low, high) =
            points.iter().flatten().filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        Some(Panel {
            title: columns[j].clone(),
            x_name: "cell".to_owned(),
            y_name: "reconstruction".to_owned(),
            x: bounds,
            y: bounds,
            marks: vec![
                Marks::Line { points: vec![[low, low], [high, high]], colour: INK, width: 1.0 },
                Marks::Points { points, colours: vec![group(0)], radius: 1.8 },
            ],
        })
    };
    let note = format!(
        "{} rows; on the line a cell is as it was{}",
        x.nrows(),
        if columns.len() > COLUMNS { format!("; the first {COLUMNS} of {} columns", columns.len()) } else { String::new() }
    );
    Panels { title, note, columns: across(shown), panels: (0..shown).map(panel).collect(), legend: Legend::None }
}

/// Rows as curves of `width` numbers a step, each in a chart of its own; behind them, in grey, what they were made from.
pub(super) fn curves(title: String, note: String, width: usize, names: &[String], rows: &[Vec<f64>], behind: &[Vec<f64>]) -> Panels {
    let steps =
        |row: &Vec<f64>, c: usize| row.iter().skip(c).step_by(width).enumerate().map(|(t, v)| [t as f64, *v]).collect::<Vec<[f64; 2]>>();
    let all = rows.iter().chain(behind).flatten().copied();
    let y = Bounds::around(all);
    let panel = |(i, row): (usize, &Vec<f64>)| {
        let mut marks = Vec::new();
        for c in 0..width {
            marks.extend(behind.get(i).map(|row| Marks::Line { points: steps(row, c), colour: GREY, width: 2.4 }));
        }
        marks.extend((0..width).map(|c| Marks::Line { points: steps(row, c), colour: group(c), width: 1.5 }));
        Some(Panel {
            title: names.get(i).cloned().unwrap_or_default(),
            x_name: String::new(),
            y_name: String::new(),
            x: Bounds::around([0.0, (row.len() / width) as f64 - 1.0]),
            y,
            marks,
        })
    };
    let keys = match (behind.is_empty(), width) {
        (true, 1) => Legend::None,
        (true, _) => Legend::Keys { title: String::new(), keys: (0..width).map(|c| (format!("number {c}"), group(c))).collect() },
        (false, _) => {
            let made = (0..width).map(|c| (if width == 1 { "reconstruction".to_owned() } else { format!("reconstruction {c}") }, group(c)));
            Legend::Keys { title: String::new(), keys: std::iter::once(("row".to_owned(), GREY)).chain(made).collect() }
        }
    };
    Panels { title, note, columns: across(rows.len()).min(3), panels: rows.iter().enumerate().map(panel).collect(), legend: keys }
}
