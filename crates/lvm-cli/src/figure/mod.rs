//! Pictures: what is drawn, apart from how it gets into a file.
//!
//! Lengths are in units of which a figure is some hundreds wide; an SVG has one pixel to the unit, a PNG two, drawn at four and averaged.

mod images;
mod palette;
mod panels;

pub(crate) use images::Images;
pub(crate) use palette::{Colour, GREY, INK, group, shade};
pub(crate) use panels::{Bounds, Legend, Marks, Panel, Panels, histogram};

use crate::failure::{Failure, Outcome};
use crate::hint;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind};
use plotters::prelude::{BitMapBackend, DrawingBackend, IntoDrawingArea, SVGBackend, WHITE};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, TextStyle, register_font};
use std::path::Path;
use std::sync::Once;

/// A blank to draw on.
pub(crate) type Area<DB> = DrawingArea<DB, Shift>;
/// What comes of drawing.
pub(crate) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Pixels of a PNG to the unit.
const PIXELS: u32 = 2;
/// Points that are averaged to a pixel, along each side.
const AVERAGED: u32 = 2;

/// Something that can be drawn.
pub(crate) trait Figure {
    /// Width and height in units.
    fn size(&self) -> (u32, u32);

    /// Draws it; `pen` turns units into the pixels of the area.
    ///
    /// # Errors
    /// If the area can't be drawn on.
    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pen: Pen) -> Drawn<DB>;

    /// A picture of pixels that lies over the drawing.
    fn raster(&self) -> Option<Raster> {
        None
    }
}

/// Pixels with their place in units.
pub(crate) struct Raster {
    pub(crate) left: f64,
    pub(crate) top: f64,
    /// Units to a pixel.
    pub(crate) unit: f64,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Red, green and blue of each pixel, line by line.
    pub(crate) pixels: Vec<u8>,
}

/// From units to pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pen {
    scale: f64,
}

impl Pen {
    pub(crate) fn px(self, units: f64) -> i32 {
        (units * self.scale).round() as i32
    }

    pub(crate) fn width(self, units: f64) -> u32 {
        (units * self.scale).round().max(1.0) as u32
    }

    /// A text of this size.
    pub(crate) fn text(self, size: f64, colour: RGBColor) -> TextStyle<'static> {
        let mut style = TextStyle::from(("sans-serif", size * self.scale).into_font());
        style.color = colour.to_backend_color();
        style
    }
}

/// Says before any work whether a picture can be written there.
pub(crate) fn check_target(path: &Path) -> Outcome {
    match ending(path).as_deref() {
        Some("png" | "svg") => crate::output::check_folder(path),
        _ => Err(Failure::usage(format!("{}: the ending says the format; use .png or .svg", path.display()))),
    }
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase())
}

/// Draws a figure into a file, whole or not at all.
pub(crate) fn save(figure: &impl Figure, path: &Path) -> Outcome {
    let bytes = match ending(path).as_deref() {
        Some("svg") => svg(figure)?.into_bytes(),
        _ => bitmap(figure)?,
    };
    lvm_data::output::replace(path, |out| out.write_all(&bytes)).map_err(hint::data)
}

/// The font that the system need not have: DejaVu Sans, which may be passed on with programs.
fn fonts() {
    static ONCE: Once = Once::new();
    // the bytes are a font, so nothing can be wrong with it
    ONCE.call_once(|| drop(register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())));
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::fault(format!("the picture can't be drawn: {error}"))
}

fn svg(figure: &impl Figure) -> Outcome<String> {
    fonts();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, figure.size()).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        figure.draw(&area, Pen { scale: 1.0 }).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    if let Some(raster) = figure.raster() {
        let data = base64(&png(&raster.pixels, raster.width as u32, raster.height as u32)?);
        let (w, h) = (raster.width as f64 * raster.unit, raster.height as f64 * raster.unit);
        let image = format!(
            "<image x=\"{}\" y=\"{}\" width=\"{w}\" height=\"{h}\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>\n</svg>",
            raster.left, raster.top
        );
        text = text.replacen("</svg>", &image, 1);
    }
    Ok(text)
}

fn bitmap(figure: &impl Figure) -> Outcome<Vec<u8>> {
    fonts();
    let (w, h) = figure.size();
    let fine = PIXELS * AVERAGED;
    let mut buffer = vec![255u8; (w * fine * h * fine * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut buffer, (w * fine, h * fine)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        figure.draw(&area, Pen { scale: f64::from(fine) }).map_err(failed)?;
        area.present().map_err(failed)?;
    }
    let (w, h) = (w * PIXELS, h * PIXELS);
    let mut pixels = averaged(&buffer, w as usize, h as usize);
    if let Some(raster) = figure.raster() {
        lay(&raster, &mut pixels, w as usize, h as usize);
    }
    png(&pixels, w, h)
}

/// Means over squares of points.
fn averaged(fine: &[u8], width: usize, height: usize) -> Vec<u8> {
    let side = AVERAGED as usize;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let points = (0..side * side).map(|i| fine[((y * side + i / side) * width * side + x * side + i % side) * 3 + channel]);
                let sum: u32 = points.map(u32::from).sum();
                pixels.push((sum / (side * side) as u32) as u8);
            }
        }
    }
    pixels
}

/// The pixels of a raster, each as large as it is to be, over those of the picture.
fn lay(raster: &Raster, pixels: &mut [u8], width: usize, height: usize) {
    let scale = f64::from(PIXELS);
    let unit = raster.unit * scale;
    let (left, top) = ((raster.left * scale).round() as usize, (raster.top * scale).round() as usize);
    let (w, h) = ((raster.width as f64 * unit) as usize, (raster.height as f64 * unit) as usize);
    for y in 0..h.min(height.saturating_sub(top)) {
        for x in 0..w.min(width.saturating_sub(left)) {
            let from = ((y as f64 / unit) as usize * raster.width + (x as f64 / unit) as usize) * 3;
            let to = ((top + y) * width + left + x) * 3;
            pixels[to..to + 3].copy_from_slice(&raster.pixels[from..from + 3]);
        }
    }
}

fn png(pixels: &[u8], width: u32, height: u32) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, i| word << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let check = |text: &str, expect: &str| assert_eq!(base64(text.as_bytes()), expect);
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foobar", "Zm9vYmFy");
    }

    #[test]
    fn points_are_averaged_in_squares() {
        // 2 by 1 pixels of 2 by 2 points
        let fine: Vec<u8> = [0, 100, 8, 8, 100, 200, 8, 8].iter().flat_map(|v| [*v; 3]).collect();
        assert_eq!(averaged(&fine, 2, 1), [100, 100, 100, 8, 8, 8]);
    }
}
