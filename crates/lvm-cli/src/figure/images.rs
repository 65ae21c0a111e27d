//! Images in lines.

use super::palette::INK;
use super::{Area, Drawn, Figure, Pen, Raster};
use plotters::element::Text;
use plotters::prelude::{DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Images of one shape, in lines from left to right.
pub(crate) struct Images {
    pub(crate) title: String,
    /// A line below the title.
    pub(crate) note: String,
    /// Channels (1 or 3), height, width.
    pub(crate) shape: (usize, usize, usize),
    /// Lines with their names; an image holds its numbers channel by channel, each line by line.
    pub(crate) lines: Vec<(String, Vec<Vec<f64>>)>,
    /// What is black and what is white.
    pub(crate) range: (f64, f64),
}

const HEAD: f64 = 58.0;
const LEFT: f64 = 14.0;
/// Pixels between images.
const GAP: usize = 2;

impl Images {
    fn columns(&self) -> usize {
        self.lines.iter().map(|(_, images)| images.len()).max().unwrap_or(0).max(1)
    }

    fn named(&self) -> f64 {
        if self.lines.iter().any(|(name, _)| !name.is_empty()) { 110.0 } else { 0.0 }
    }

    /// Width and height of all in pixels of the images.
    fn pixels(&self) -> (usize, usize) {
        let (_, h, w) = self.shape;
        (self.columns() * (w + GAP) - GAP, self.lines.len() * (h + GAP) - GAP)
    }

    /// Units to a pixel of an image: whole halves, so that all pixels are alike.
    fn unit(&self) -> f64 {
        let (w, h) = self.pixels();
        let fitting = (720.0 / w as f64).min(720.0 / h as f64);
        (2.0 * fitting).floor().clamp(1.0, 32.0) / 2.0
    }

    /// Red, green and blue of a pixel.
    fn colour(&self, image: &[f64], y: usize, x: usize) -> [u8; 3] {
        let (channels, height, width) = self.shape;
        let (black, white) = self.range;
        let level = |channel: usize| {
            let value = image.get((channel * height + y) * width + x).copied().unwrap_or(f64::NAN);
            let share = (value - black) / (white - black);
            // what is missing is a light blue-grey that no picture has
            if share.is_nan() { None } else { Some((share.clamp(0.0, 1.0) * 255.0).round() as u8) }
        };
        match channels {
            3 => [0, 1, 2].map(|channel| level(channel).unwrap_or(200)),
            _ => level(0).map_or([190, 205, 225], |grey| [grey; 3]),
        }
    }
}

impl Figure for Images {
    fn size(&self) -> (u32, u32) {
        let (w, h) = self.pixels();
        let unit = self.unit();
        let width = (w as f64 * unit + 2.0 * LEFT + self.named()).max(480.0);
        (width as u32, (h as f64 * unit + HEAD + LEFT) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pen: Pen) -> Drawn<DB> {
        area.draw(&Text::new(self.title.clone(), (pen.px(14.0), pen.px(10.0)), pen.text(19.0, INK)))?;
        area.draw(&Text::new(self.note.clone(), (pen.px(14.0), pen.px(34.0)), pen.text(13.0, RGBColor(0x77, 0x77, 0x77))))?;
        let (_, h, _) = self.shape;
        let unit = self.unit();
        for (i, (name, _)) in self.lines.iter().enumerate() {
            let y = HEAD + unit * ((h + GAP) as f64 * i as f64 + h as f64 / 2.0);
            let style = pen.text(13.0, INK).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(name.clone(), (pen.px(LEFT), pen.px(y)), style))?;
        }
        Ok(())
    }

    fn raster(&self) -> Option<Raster> {
        let (_, h, w) = self.shape;
        let (width, height) = self.pixels();
        let mut pixels = vec![255u8; width * height * 3];
        for (i, (_, images)) in self.lines.iter().enumerate() {
            for (j, image) in images.iter().enumerate() {
                for y in 0..h {
                    for x in 0..w {
                        let at = ((i * (h + GAP) + y) * width + j * (w + GAP) + x) * 3;
                        pixels[at..at + 3].copy_from_slice(&self.colour(image, y, x));
                    }
                }
            }
        }
        Some(Raster { left: LEFT + self.named(), top: HEAD, unit: self.unit(), width, height, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_colours_and_what_is_missing_shows() {
        let images = |channels: usize, image: Vec<f64>| Images {
            title: String::new(),
            note: String::new(),
            shape: (channels, 1, 2),
            lines: vec![(String::new(), vec![image])],
            range: (0.0, 2.0),
        };
        assert_eq!(images(1, vec![2.0, f64::NAN]).raster().unwrap().pixels, [255, 255, 255, 190, 205, 225]);
        assert_eq!(images(3, vec![0.0, 2.0, 2.0, 0.0, 1.0, -1.0]).raster().unwrap().pixels, [0, 255, 128, 255, 0, 0]);
    }
}
