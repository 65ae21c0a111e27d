//! Convolutional nets over images.

use super::convolution::{BiasOf, Conv2d, ConvTranspose2d};
use super::{Activation, Mlp, Net};
use crate::error::{Error, Result};
use crate::likelihood::Layout;
use crate::parameters::{Scope, Start};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The shape of an image; a row of the table holds it channel by channel, each line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// 1 for grey, 3 for colours.
    pub channels: i64,
    /// Lines.
    pub height: i64,
    /// Pixels in a line.
    pub width: i64,
}

impl Image {
    /// How many numbers a row has.
    pub fn columns(self) -> i64 {
        self.channels * self.height * self.width
    }
}

/// A convolutional net: every layer halves (encoder) or doubles (decoder) both sides with kernels of 4 by 4.
///
/// Encoder: image → channels\[0\] at half the size → … → hidden layers → features. Decoder: latents → hidden layers → channels\[0\] at the
/// smallest size → … → image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvolutionSpec {
    /// What a row is.
    pub image: Image,
    /// Channels of the layers, in the order in which the net goes through them.
    pub channels: Vec<i64>,
    /// Widths of layers between the smallest image and the features or latents.
    #[serde(default)]
    pub hidden: Vec<i64>,
    /// Between all of them.
    #[serde(default)]
    pub activation: Activation,
}

impl ConvolutionSpec {
    /// # Errors
    /// If the image has another number of pixels than a row has columns, or a side that can't be halved so often.
    pub fn check(&self, columns: i64) -> Result<()> {
        let Image { channels, height, width } = self.image;
        if channels < 1 || height < 1 || width < 1 || self.image.columns() != columns {
            let message = format!("{channels} channels of {height} by {width} are not the {columns} columns of a row");
            return Err(Error::config("image", message));
        }
        if self.channels.is_empty() {
            return Err(Error::config("channels", "is empty; give the channels of one layer at least, or choose an mlp"));
        }
        if let Some(width) = self.channels.iter().chain(&self.hidden).find(|&&w| w < 1) {
            return Err(Error::config("channels", format!("a layer has width {width}; it needs at least 1")));
        }
        let layers = self.channels.len() as u32;
        for (side, length) in [("height", height), ("width", width)] {
            let unit = 2_i64.checked_pow(layers).unwrap_or(i64::MAX);
            if length % unit != 0 {
                let (below, above) = (length / unit * unit, (length / unit).saturating_add(1).saturating_mul(unit));
                let fits = if below > 0 { format!("{below} and {above} can") } else { format!("{above} can") };
                let message =
                    format!("a {side} of {length} can't be halved {layers} times, {fits}: pad or crop the images, or use fewer layers");
                return Err(Error::config("image", message));
            }
        }
        Ok(())
    }

    /// Height and width where the image is smallest.
    fn smallest(&self) -> (i64, i64) {
        (self.image.height >> self.channels.len(), self.image.width >> self.channels.len())
    }
}

/// Convolutions, then an [`Mlp`].
pub struct ImageEncoder {
    /// Channels (with those of the mask), height, width.
    input: [i64; 3],
    layers: Vec<Conv2d>,
    activation: Activation,
    head: Mlp,
}

impl ImageEncoder {
    /// Over rows of `planes` images (the pixels, and perhaps which of them are there) and `told` more numbers, which join behind the
    /// convolutions.
    ///
    /// # Errors
    /// If the settings contradict each other or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &ConvolutionSpec, planes: i64, told: i64, outputs: i64) -> Result<Self> {
        spec.check(spec.image.columns())?;
        let input = [spec.image.channels * planes, spec.image.height, spec.image.width];
        let widths: Vec<i64> = [&[input[0]], spec.channels.as_slice()].concat();
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(l, w)| Conv2d::new(&mut scope.at(&format!("conv.{l}")), w[0], w[1]))
            .collect::<Result<_>>()?;
        let (height, width) = spec.smallest();
        let flat = widths[widths.len() - 1] * height * width + told;
        let head = Mlp::new(&mut scope.at("head"), flat, &spec.hidden, outputs, spec.activation)?;
        Ok(ImageEncoder { input, layers, activation: spec.activation, head })
    }
}

impl Net for ImageEncoder {
    fn forward(&self, x: &Tensor) -> Tensor {
        let pixels: i64 = self.input.iter().product();
        let mut h = x.narrow(1, 0, pixels).reshape([&[-1], self.input.as_slice()].concat());
        for layer in &self.layers {
            h = self.activation.of(&layer.forward(&h));
        }
        let h = h.flatten(1, -1);
        let told = x.size()[1] - pixels;
        if told == 0 { self.head.forward(&h) } else { self.head.forward(&Tensor::cat(&[h, x.narrow(1, pixels, told)], 1)) }
    }

    fn share(&self) -> Box<dyn Net> {
        let layers = self.layers.iter().map(Conv2d::shared).collect();
        Box::new(ImageEncoder { input: self.input, layers, activation: self.activation, head: self.head.shared() })
    }

    fn output_bias(&self) -> Option<Tensor> {
        self.head.output_bias()
    }
}

/// An [`Mlp`], then transposed convolutions. Every output has a bias of its own, so that the decoder can start at the mean image.
pub struct ImageDecoder {
    foot: Mlp,
    /// Channels, height, width where the image is smallest.
    smallest: [i64; 3],
    layers: Vec<ConvTranspose2d>,
    activation: Activation,
    image: Image,
    layout: Layout,
    bias: Tensor,
}

impl ImageDecoder {
    /// From `inputs` numbers to the outputs of a likelihood with this layout.
    ///
    /// # Errors
    /// If the settings contradict each other or the name is taken.
    pub fn new(scope: &mut Scope<'_>, spec: &ConvolutionSpec, inputs: i64, layout: Layout) -> Result<Self> {
        spec.check(spec.image.columns())?;
        let (height, width) = spec.smallest();
        let smallest = [spec.channels[0], height, width];
        let foot = Mlp::new(&mut scope.at("foot"), inputs, &spec.hidden, smallest.iter().product(), spec.activation)?;
        let per_pixel = layout.planes * layout.depth;
        let widths: Vec<i64> = [spec.channels.as_slice(), &[spec.image.channels * per_pixel]].concat();
        let last = spec.channels.len() - 1;
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(l, w)| {
                let bias = if l == last { BiasOf::None } else { BiasOf::Channel };
                ConvTranspose2d::new(&mut scope.at(&format!("conv.{l}")), w[0], w[1], bias)
            })
            .collect::<Result<_>>()?;
        let bias = scope.trained("bias", &[spec.image.columns() * per_pixel], Start::Zero)?;
        Ok(ImageDecoder { foot, smallest, layers, activation: spec.activation, image: spec.image, layout, bias })
    }
}

impl Net for ImageDecoder {
    fn forward(&self, x: &Tensor) -> Tensor {
        let mut h = self.foot.forward(x).reshape([&[-1], self.smallest.as_slice()].concat());
        for layer in &self.layers {
            h = layer.forward(&self.activation.of(&h));
        }
        let Image { channels, height, width } = self.image;
        let Layout { planes, depth } = self.layout;
        if depth > 1 {
            // what belongs to a pixel stands together
            h = h.view([-1, planes, channels, depth, height, width]).permute([0, 1, 2, 4, 5, 3]);
        }
        h.flatten(1, -1) + &self.bias
    }

    fn share(&self) -> Box<dyn Net> {
        Box::new(ImageDecoder {
            foot: self.foot.shared(),
            layers: self.layers.iter().map(ConvTranspose2d::shared).collect(),
            bias: self.bias.shallow_clone(),
            ..*self
        })
    }

    fn output_bias(&self) -> Option<Tensor> {
        Some(self.bias.shallow_clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::likelihood::proof::scoped;
    use crate::nets::proof::{differentiates, numbers, shares};

    fn spec(channels: i64, height: i64, width: i64, layers: &[i64]) -> ConvolutionSpec {
        let image = Image { channels, height, width };
        ConvolutionSpec { image, channels: layers.to_vec(), hidden: vec![5], activation: Activation::Tanh }
    }

    const PLAIN: Layout = Layout { planes: 1, depth: 1 };

    #[test]
    fn shapes() {
        scoped(|scope| {
            for (i, (channels, height, width, layers)) in
                [(1, 28, 28, vec![4, 8]), (3, 32, 32, vec![4, 8, 8]), (1, 28, 20, vec![4, 8])].into_iter().enumerate()
            {
                let spec = spec(channels, height, width, &layers);
                let columns = channels * height * width;
                let encoder = ImageEncoder::new(&mut scope.at(&format!("e{i}")), &spec, 2, 3, 7).unwrap();
                assert_eq!(encoder.forward(&numbers(&[2, 2 * columns + 3])).size(), [2, 7]);
                for (planes, depth) in [(1, 1), (2, 1), (1, 4)] {
                    let layout = Layout { planes, depth };
                    let decoder = ImageDecoder::new(&mut scope.at(&format!("d{i}{planes}{depth}")), &spec, 6, layout).unwrap();
                    assert_eq!(decoder.forward(&numbers(&[2, 6])).size(), [2, columns * planes * depth]);
                }
            }
        });
    }

    #[test]
    fn gradients_and_sharing() {
        scoped(|scope| {
            let spec = spec(1, 4, 4, &[2]);
            let encoder = ImageEncoder::new(&mut scope.at("e"), &spec, 1, 1, 2).unwrap();
            let x = numbers(&[2, 17]);
            differentiates(&|x| encoder.forward(x), &x, &[&encoder.layers[0].shared_weight()]);
            shares(&encoder, &x, &encoder.layers[0].shared_weight());
            let decoder = ImageDecoder::new(&mut scope.at("d"), &spec, 3, Layout { planes: 1, depth: 2 }).unwrap();
            let z = numbers(&[2, 3]);
            differentiates(&|z| decoder.forward(z), &z, &[&decoder.bias]);
            shares(&decoder, &z, &decoder.bias);
        });
    }

    #[test]
    fn numbers_of_a_pixel_stand_together() {
        scoped(|scope| {
            let decoder = ImageDecoder::new(&mut scope.at("d"), &spec(1, 4, 4, &[2]), 3, Layout { planes: 1, depth: 2 }).unwrap();
            // the bias alone, numbered
            for layer in decoder.layers.iter() {
                let _ = tch::no_grad(|| layer.shared_weight().zero_());
            }
            tch::no_grad(|| decoder.bias.shallow_clone().copy_(&numbers(&[32])));
            let outputs = decoder.forward(&numbers(&[1, 3]));
            assert_eq!(outputs.view([32]), decoder.bias);
        });
    }

    #[test]
    fn sizes_that_fit_are_named() {
        let error = spec(1, 28, 30, &[4, 4]).check(840).unwrap_err().to_string();
        assert!(error.contains("width of 30 can't be halved 2 times, 28 and 32 can"), "{error}");
        let error = spec(3, 32, 32, &[4]).check(784).unwrap_err().to_string();
        assert!(error.contains("3 channels of 32 by 32 are not the 784 columns"), "{error}");
        let error = spec(1, 2, 2, &[4, 4]).check(4).unwrap_err().to_string();
        assert!(error.contains("4 can"), "{error}");
        spec(1, 28, 28, &[4, 4]).check(784).unwrap();
        scoped(|scope| assert!(ImageDecoder::new(scope, &spec(1, 28, 28, &[]), 3, PLAIN).is_err()));
    }
}
