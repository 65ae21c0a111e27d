//! Colours: of groups, of numbers, of everything else.

use plotters::style::RGBColor;

/// A colour.
pub(crate) type Colour = RGBColor;

/// Text and frames.
pub(crate) const INK: Colour = RGBColor(0x33, 0x33, 0x33);
/// What stands behind.
pub(crate) const GREY: Colour = RGBColor(0xa8, 0xa8, 0xa8);

/// Ten that can be told apart, also by most who see few colours (after Tableau's).
const GROUPS: [Colour; 10] = [
    RGBColor(0x4e, 0x79, 0xa7),
    RGBColor(0xf2, 0x8e, 0x2b),
    RGBColor(0x59, 0xa1, 0x4f),
    RGBColor(0xe1, 0x57, 0x59),
    RGBColor(0xb0, 0x7a, 0xa1),
    RGBColor(0x76, 0xb7, 0xb2),
    RGBColor(0x9c, 0x75, 0x5f),
    RGBColor(0xed, 0xc9, 0x48),
    RGBColor(0xff, 0x9d, 0xa7),
    RGBColor(0x6b, 0x6b, 0x6b),
];

/// The colour of a group; after ten they come again, darker.
pub(crate) fn group(k: usize) -> Colour {
    let RGBColor(r, g, b) = GROUPS[k % GROUPS.len()];
    let darker = |c: u8| (f64::from(c) * 0.6f64.powi((k / GROUPS.len()) as i32)) as u8;
    RGBColor(darker(r), darker(g), darker(b))
}

/// Viridis at 0, 1/8, …, 1 (S. van der Walt, N. Smith 2015, CC0).
const VIRIDIS: [Colour; 9] = [
    RGBColor(0x44, 0x01, 0x54),
    RGBColor(0x47, 0x2d, 0x7b),
    RGBColor(0x3b, 0x52, 0x8b),
    RGBColor(0x2c, 0x72, 0x8e),
    RGBColor(0x21, 0x91, 0x8c),
    RGBColor(0x28, 0xae, 0x80),
    RGBColor(0x5e, 0xc9, 0x62),
    RGBColor(0xad, 0xdc, 0x30),
    RGBColor(0xfd, 0xe7, 0x25),
];

/// The colour of a share from 0 to 1; grey for what is no number.
pub(crate) fn shade(share: f64) -> Colour {
    if share.is_nan() {
        return GREY;
    }
    let at = share.clamp(0.0, 1.0) * 8.0;
    let (below, rest) = ((at as usize).min(7), at - f64::from((at as u32).min(7)));
    let between = |a: u8, b: u8| (f64::from(a) + rest * (f64::from(b) - f64::from(a))).round() as u8;
    let (RGBColor(r0, g0, b0), RGBColor(r1, g1, b1)) = (VIRIDIS[below], VIRIDIS[below + 1]);
    RGBColor(between(r0, r1), between(g0, g1), between(b0, b1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_go_through_their_anchors() {
        assert_eq!((shade(0.0), shade(0.5), shade(1.0), shade(7.0)), (VIRIDIS[0], VIRIDIS[4], VIRIDIS[8], VIRIDIS[8]));
        assert_eq!(shade(f64::NAN), GREY);
        let all: Vec<Colour> = (0..20).map(group).collect();
        assert!((0..20).all(|i| (0..i).all(|j| all[i] != all[j])));
    }
}
