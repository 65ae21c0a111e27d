//! Small pictures as inline SVG: two scales, marks, a legend. Colours come from the page's style sheet through classes.

use std::fmt::Write as _;

/// Width of a picture in pixels.
const WIDTH: f64 = 440.0;
/// Height of a picture in pixels.
const HEIGHT: f64 = 300.0;
/// Space for labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [62.0, 14.0, 14.0, 44.0];

/// One axis.
#[derive(Debug, Clone)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
    label: String,
    bare: bool,
}

impl Scale {
    /// A linear axis that shows all of `values`, with a little air.
    pub fn linear(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        let air = if high > low { 0.05 * (high - low) } else { 0.5 * low.abs().max(1.0) };
        Scale { low: low - air, high: high + air, log: false, label: label.to_owned(), bare: false }
    }

    /// A logarithmic axis that shows all positive `values`, in whole decades.
    pub fn log(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values.into_iter().filter(|v| *v > 0.0).map(f64::log10));
        let (low, high) = (low.floor(), high.ceil());
        Scale { low, high: if high > low { high } else { low + 1.0 }, log: true, label: label.to_owned(), bare: false }
    }

    /// The same axis without marks.
    pub fn without_ticks(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Position in 0 ..= 1.
    fn place(&self, v: f64) -> f64 {
        let v = if self.log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        ((v - self.low) / (self.high - self.low)).clamp(-0.02, 1.02)
    }

    /// About five round values with their texts.
    fn ticks(&self) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        if self.bare {
            return Vec::new();
        }
        if self.log {
            let step = (span / 6.0).ceil().max(1.0) as usize;
            return (self.low as i64..=self.high as i64).step_by(step).map(|e| (10f64.powi(e as i32), format!("1e{e}"))).collect();
        }
        let raw = span / 5.0;
        let decade = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|s| *s >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let digits = (-step.log10().floor()).max(0.0) as usize;
        (first..).map(|i| i as f64 * step).take_while(|v| *v <= self.high).map(|v| (v, format!("{v:.digits$}"))).collect()
    }
}

/// Smallest and largest finite value; (0, 1) if there is none.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// A picture under construction.
#[derive(Debug)]
pub struct Chart {
    x: Scale,
    y: Scale,
    marks: String,
    legend: Vec<(String, String)>,
    width: f64,
    height: f64,
    left: f64,
}

impl Chart {
    /// An empty picture.
    pub fn new(x: Scale, y: Scale) -> Self {
        Chart { x, y, marks: String::new(), legend: Vec::new(), width: WIDTH, height: HEIGHT, left: MARGIN[0] }
    }

    /// The same picture with another height.
    pub fn tall(mut self, height: f64) -> Self {
        self.height = height;
        self
    }

    /// The same picture with `left` pixels for names at the left, and as much wider.
    pub fn named(mut self, left: f64) -> Self {
        (self.left, self.width) = (left, WIDTH - MARGIN[0] + left);
        self
    }

    /// A name at the left of a height of the data.
    pub fn name(&mut self, y: f64, text: &str) {
        let (_, py) = self.at(0.0, y);
        let _ = write!(
            self.marks,
            "<text class=\"note\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            self.left - 7.0,
            py + 3.5,
            escape(text)
        );
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let ([_, top, right, bottom], left) = (MARGIN, self.left);
        (left + self.x.place(x) * (self.width - left - right), self.height - bottom - self.y.place(y) * (self.height - top - bottom))
    }

    /// A line through points.
    pub fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let path: Vec<String> = points.into_iter().map(|(x, y)| self.at(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(self.marks, "<polyline class=\"line {class}\" points=\"{}\"/>", path.join(" "));
    }

    /// A dot with a text that shows under the pointer.
    pub fn dot(&mut self, class: &str, radius: f64, x: f64, y: f64, text: &str) {
        let (cx, cy) = self.at(x, y);
        let title = if text.is_empty() { String::new() } else { format!("<title>{}</title>", escape(text)) };
        let _ = write!(self.marks, "<circle class=\"{class}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{radius}\">{title}</circle>");
    }

    /// A dot whose colour runs from one class to another by `share` in 0 ..= 1.
    pub fn mixed_dot(&mut self, share: f64, x: f64, y: f64) {
        let (cx, cy) = self.at(x, y);
        let share = (100.0 * share).round();
        let _ = write!(
            self.marks,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2.4\" fill-opacity=\".75\" style=\"fill:color-mix(in srgb,var(--a) {share}%,var(--b))\"/>"
        );
    }

    /// A vertical line.
    pub fn vertical(&mut self, class: &str, x: f64) {
        let [_, top, _, bottom] = MARGIN;
        let (px, _) = self.at(x, 0.0);
        let _ = write!(
            self.marks,
            "<line class=\"line {class}\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{top}\" y2=\"{:.1}\"/>",
            self.height - bottom
        );
    }

    /// A text at a place of the data.
    pub fn text(&mut self, x: f64, y: f64, text: &str) {
        let (px, py) = self.at(x, y);
        let _ = write!(self.marks, "<text class=\"note\" x=\"{px:.1}\" y=\"{py:.1}\">{}</text>", escape(text));
    }

    /// Names a class in the legend.
    pub fn explain(&mut self, class: &str, text: &str) {
        self.legend.push((class.to_owned(), text.to_owned()));
    }

    /// The finished picture.
    pub fn svg(self) -> String {
        let ([_, top, right, bottom], left) = (MARGIN, self.left);
        let (width, height) = (self.width, self.height);
        let (x1, y1) = (width - right, height - bottom);
        let mut out = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\"><rect class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            x1 - left,
            y1 - top
        );
        for (v, text) in self.x.ticks() {
            let px = left + self.x.place(v) * (x1 - left);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{top}\" y2=\"{y1:.1}\"/><text class=\"tick\" text-anchor=\"middle\" x=\"{px:.1}\" y=\"{:.1}\">{text}</text>",
                y1 + 15.0
            );
        }
        for (v, text) in self.y.ticks() {
            let py = y1 - self.y.place(v) * (y1 - top);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{x1:.1}\" y1=\"{py:.1}\" y2=\"{py:.1}\"/><text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                left - 6.0,
                py + 3.5
            );
        }
        let (mid_x, mid_y) = (0.5 * (left + x1), 0.5 * (top + y1));
        let _ = write!(
            out,
            "<text class=\"label\" text-anchor=\"middle\" x=\"{mid_x:.1}\" y=\"{:.1}\">{}</text>",
            height - 10.0,
            escape(&self.x.label)
        );
        let _ = write!(
            out,
            "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(13 {mid_y:.1}) rotate(-90)\">{}</text>",
            escape(&self.y.label)
        );
        out.push_str(&self.marks);
        for (i, (class, text)) in self.legend.iter().enumerate() {
            let y = top + 14.0 + 15.0 * i as f64;
            let _ = write!(
                out,
                "<circle class=\"{class} key\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/><text class=\"note\" text-anchor=\"end\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                x1 - 10.0,
                y - 3.5,
                x1 - 19.0,
                escape(text)
            );
        }
        out.push_str("</svg>");
        out
    }
}

/// A text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let s = Scale::linear("", [0.0, 9.7]);
        let texts: Vec<String> = s.ticks().into_iter().map(|t| t.1).collect();
        assert_eq!(texts, ["0", "5", "10"]);
        assert_eq!(Scale::log("", [3e-5, 0.0, 2.0]).ticks().first().unwrap().1, "1e-5");
        assert!(Scale::linear("", [f64::NAN]).ticks().len() > 1);
    }
}
