//! Charts side by side, with one legend.

use super::palette::{Colour, GREY, INK, shade};
use super::{Area, Drawn, Figure, Pen};
use plotters::chart::ChartBuilder;
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{Color, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What a chart shows.
pub(crate) enum Marks {
    /// Dots.
    Points { points: Vec<[f64; 2]>, colours: Vec<Colour>, radius: f64 },
    /// A line, broken where a number is none.
    Line { points: Vec<[f64; 2]>, colour: Colour, width: f64 },
    /// Bars between edges: filled, or their outline.
    Bars { edges: Vec<f64>, heights: Vec<f64>, colour: Colour, filled: bool },
}

/// From where to where an axis goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    low: f64,
    high: f64,
}

impl Bounds {
    /// Around numbers, with a little room.
    pub(crate) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = values
            .into_iter()
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let room = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1.0) };
        if low.is_finite() { Bounds { low: low - room, high: high + room } } else { Bounds { low: 0.0, high: 1.0 } }
    }

    /// From zero.
    pub(crate) fn up_to(values: impl IntoIterator<Item = f64>) -> Self {
        let high = values.into_iter().filter(|v| v.is_finite()).fold(0.0, f64::max);
        Bounds { low: 0.0, high: if high > 0.0 { 1.05 * high } else { 1.0 } }
    }

    /// Around both.
    pub(crate) fn with(self, other: Bounds) -> Self {
        Bounds { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// One chart.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_name: String,
    pub(crate) y_name: String,
    pub(crate) x: Bounds,
    pub(crate) y: Bounds,
    pub(crate) marks: Vec<Marks>,
}

/// What colours mean.
pub(crate) enum Legend {
    None,
    /// Names with their colours.
    Keys {
        title: String,
        keys: Vec<(String, Colour)>,
    },
    /// Shades of numbers.
    Bar {
        title: String,
        low: f64,
        high: f64,
    },
}

/// Charts in lines from left to right.
pub(crate) struct Panels {
    pub(crate) title: String,
    /// A line below the title.
    pub(crate) note: String,
    pub(crate) columns: usize,
    /// `None` leaves a place free.
    pub(crate) panels: Vec<Option<Panel>>,
    pub(crate) legend: Legend,
}

const HEAD: f64 = 58.0;
const LEGEND: f64 = 150.0;
/// Keys that are shown at most.
const KEYS: usize = 22;

impl Panels {
    /// One chart.
    pub(crate) fn single(title: String, note: String, panel: Panel, legend: Legend) -> Self {
        Panels { title, note, columns: 1, panels: vec![Some(panel)], legend }
    }

    /// Width and height of a chart.
    fn cell(&self) -> (f64, f64) {
        match self.columns {
            1 => (720.0, 540.0),
            2 => (400.0, 320.0),
            3 => (300.0, 240.0),
            _ => (230.0, 200.0),
        }
    }

    fn lines(&self) -> usize {
        self.panels.len().div_ceil(self.columns)
    }

    fn legend_width(&self) -> f64 {
        if matches!(self.legend, Legend::None) { 10.0 } else { LEGEND }
    }
}

impl Figure for Panels {
    fn size(&self) -> (u32, u32) {
        let (w, h) = self.cell();
        ((w * self.columns as f64 + self.legend_width()) as u32, (h * self.lines() as f64 + HEAD) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pen: Pen) -> Drawn<DB> {
        area.draw(&Text::new(self.title.clone(), (pen.px(14.0), pen.px(10.0)), pen.text(19.0, INK)))?;
        area.draw(&Text::new(self.note.clone(), (pen.px(14.0), pen.px(34.0)), pen.text(13.0, RGBColor(0x77, 0x77, 0x77))))?;
        let (_, rest) = area.split_vertically(pen.px(HEAD));
        let (w, h) = self.cell();
        let (charts, legend) = rest.split_horizontally(pen.px(w * self.columns as f64));
        let cells = charts.split_evenly((self.lines(), self.columns));
        for (panel, cell) in self.panels.iter().zip(&cells) {
            if let Some(panel) = panel {
                panel.draw(cell, pen, h)?;
            }
        }
        self.legend.draw(&legend, pen)
    }
}

impl Panel {
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pen: Pen, height: f64) -> Drawn<DB> {
        let large = height > 400.0;
        let (label, name) = if large { (13.0, 15.0) } else { (11.0, 12.0) };
        let mut builder = ChartBuilder::on(area);
        builder
            .margin(pen.px(8.0))
            .margin_right(pen.px(14.0))
            .set_label_area_size(plotters::chart::LabelAreaPosition::Bottom, pen.px(if self.x_name.is_empty() { 22.0 } else { 42.0 }));
        builder.set_label_area_size(plotters::chart::LabelAreaPosition::Left, pen.px(if self.y_name.is_empty() { 46.0 } else { 66.0 }));
        if !self.title.is_empty() {
            builder.caption(&self.title, pen.text(name + 1.0, INK));
        }
        let mut chart = builder.build_cartesian_2d(self.x.low..self.x.high, self.y.low..self.y.high)?;
        let (ticks_x, ticks_y) = if large { (8, 7) } else { (4, 4) };
        let (span_x, span_y) = (self.x.high - self.x.low, self.y.high - self.y.low);
        chart
            .configure_mesh()
            .light_line_style(plotters::style::TRANSPARENT)
            .bold_line_style(RGBColor(0xe6, 0xe6, 0xe6).stroke_width(pen.width(0.8)))
            .axis_style(RGBColor(0x88, 0x88, 0x88).stroke_width(pen.width(0.8)))
            .x_labels(ticks_x)
            .y_labels(ticks_y)
            .x_desc(self.x_name.clone())
            .y_desc(self.y_name.clone())
            .label_style(pen.text(label, INK))
            .axis_desc_style(pen.text(name, INK))
            .x_label_formatter(&|v| tick(*v, span_x))
            .y_label_formatter(&|v| tick(*v, span_y))
            .set_all_tick_mark_size(pen.px(4.0))
            .draw()?;
        for marks in &self.marks {
            match marks {
                Marks::Points { points, colours, radius } => {
                    let dots = points.iter().zip(colours.iter().cycle()).filter(|(p, _)| p.iter().all(|v| v.is_finite()));
                    chart.draw_series(dots.map(|(p, c)| Circle::new((p[0], p[1]), pen.px(*radius), c.mix(0.75).filled())))?;
                }
                Marks::Line { points, colour, width } => {
                    let style = colour.stroke_width(pen.width(*width));
                    let parts = points.split(|p| !p.iter().all(|v| v.is_finite())).filter(|part| part.len() > 1);
                    chart.draw_series(parts.map(|part| PathElement::new(part.iter().map(|p| (p[0], p[1])).collect::<Vec<_>>(), style)))?;
                }
                Marks::Bars { edges, heights, colour, filled } => {
                    let bar = |i: usize| [(edges[i], 0.0), (edges[i + 1], heights[i])];
                    match filled {
                        true => {
                            chart.draw_series((0..heights.len()).map(|i| Rectangle::new(bar(i), colour.mix(0.45).filled())))?;
                        }
                        false => {
                            let outline = (0..heights.len()).flat_map(|i| [(edges[i], heights[i]), (edges[i + 1], heights[i])]);
                            let ends = |x: f64| std::iter::once((x, 0.0));
                            let path: Vec<_> = ends(edges[0]).chain(outline).chain(ends(edges[heights.len()])).collect();
                            chart.draw_series(std::iter::once(PathElement::new(path, colour.stroke_width(pen.width(1.6)))))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A number at an axis of this length, in as few digits as tell it from its neighbours.
fn tick(value: f64, span: f64) -> String {
    if value.abs() < 1e-9 * span {
        return "0".to_owned();
    }
    let digits = (2.0 - span.log10()).ceil().clamp(0.0, 12.0) as usize;
    match value.abs() {
        size if (1e-4..1e6).contains(&size) && digits <= 6 => {
            let text = format!("{value:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        _ => format!("{value:.2e}"),
    }
}

impl Legend {
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pen: Pen) -> Drawn<DB> {
        let title = |text: &str| Text::new(shortened(text, 18), (pen.px(6.0), pen.px(12.0)), pen.text(13.5, INK));
        let middle = Pos::new(HPos::Left, VPos::Center);
        match self {
            Legend::None => Ok(()),
            Legend::Keys { title: name, keys } => {
                area.draw(&title(name))?;
                for (i, (key, colour)) in keys.iter().take(KEYS).enumerate() {
                    let y = pen.px(40.0 + 19.0 * i as f64);
                    area.draw(&Circle::new((pen.px(12.0), y), pen.px(4.5), colour.filled()))?;
                    area.draw(&Text::new(shortened(key, 17), (pen.px(23.0), y), pen.text(12.5, INK).pos(middle)))?;
                }
                if keys.len() > KEYS {
                    let y = pen.px(40.0 + 19.0 * KEYS as f64);
                    let more = format!("… and {} more", keys.len() - KEYS);
                    area.draw(&Text::new(more, (pen.px(6.0), y), pen.text(12.5, GREY).pos(middle)))?;
                }
                Ok(())
            }
            Legend::Bar { title: name, low, high } => {
                area.draw(&title(name))?;
                let (top, height) = (40.0, 260.0);
                for step in 0..130 {
                    let share = f64::from(step) / 129.0;
                    let y = top + height * (1.0 - share);
                    let strip = [(pen.px(8.0), pen.px(y - 2.0)), (pen.px(26.0), pen.px(y + 1.0))];
                    area.draw(&Rectangle::new(strip, shade(share).filled()))?;
                }
                for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    let y = pen.px(top + height * (1.0 - share));
                    let text = tick(low + share * (high - low), high - low);
                    area.draw(&Text::new(text, (pen.px(33.0), y), pen.text(12.0, INK).pos(middle)))?;
                }
                Ok(())
            }
        }
    }
}

fn shortened(text: &str, letters: usize) -> String {
    match text.chars().count() > letters {
        true => text.chars().take(letters - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Edges of equal bins over all of some lists of numbers, and for each list the share of its numbers in a bin over the bin's width.
///
/// Whole numbers get bins of their own, or of several each.
pub(crate) fn histogram(lists: &[&[f64]]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let finite = || lists.iter().flat_map(|list| list.iter().copied()).filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return (vec![0.0, 1.0], vec![vec![0.0]; lists.len()]);
    }
    let whole = finite().all(|v| v.fract() == 0.0);
    let (start, width, bins) = match whole {
        true => {
            let width = ((high - low + 1.0) / 30.0).ceil();
            (low - 0.5, width, ((high - low + 1.0) / width).ceil() as usize)
        }
        false if high > low => (low, (high - low) / 30.0, 30),
        false => (low - 0.5, 1.0, 1),
    };
    let edges: Vec<f64> = (0..=bins).map(|i| start + width * i as f64).collect();
    let shares = |list: &&[f64]| {
        let mut counts = vec![0.0; bins];
        let there: Vec<f64> = list.iter().copied().filter(|v| v.is_finite()).collect();
        there.iter().for_each(|v| counts[(((v - start) / width) as usize).min(bins - 1)] += 1.0);
        counts.iter().map(|c| c / (there.len().max(1) as f64 * width)).collect()
    };
    (edges, lists.iter().map(shares).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_densities() {
        for list in [vec![0.1, 0.2, 0.9, 3.0], vec![0.0, 0.0, 1.0, 200.0], vec![2.5; 4]] {
            let (edges, shares) = histogram(&[&list, &[]]);
            let area: f64 = shares[0].iter().zip(edges.windows(2)).map(|(share, edge)| share * (edge[1] - edge[0])).sum();
            assert!((area - 1.0).abs() < 1e-12 && shares[1].iter().all(|s| *s == 0.0), "{list:?}: {area}");
        }
        // a bin for each count
        assert_eq!(histogram(&[&[0.0, 1.0, 1.0]]).0, [-0.5, 0.5, 1.5]);
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(
            [tick(0.30000000000000004, 1.0), tick(-1250.0, 900.0), tick(1e-17, 1.0), tick(2.5e7, 1e7)],
            ["0.3", "-1250", "0", "2.50e7"]
        );
    }

    #[test]
    fn bounds_hold_what_is_not_finite_out() {
        let bounds = Bounds::around([1.0, f64::NAN, 3.0]);
        assert!(bounds.low < 1.0 && bounds.low > 0.5 && bounds.high > 3.0);
        assert!(Bounds::around([2.0]).low < 2.0 && Bounds::around([]) == Bounds { low: 0.0, high: 1.0 });
    }
}
