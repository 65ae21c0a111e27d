//! The numbers of CPU tensors as slices: the one place that leaves Rust's guarantees for speed.

#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

/// A number type of tensors that are updated in place.
pub(crate) trait Number: Copy + Send + Sync + 'static {
    const KIND: Kind;
}

impl Number for f32 {
    const KIND: Kind = Kind::Float;
}

impl Number for f64 {
    const KIND: Kind = Kind::Double;
}

/// Whether [`slice()`] and [`slice_mut`] can show this tensor.
pub(crate) fn visible<E: Number>(x: &Tensor) -> bool {
    x.defined() && x.device() == Device::Cpu && x.kind() == E::KIND && x.is_contiguous()
}

/// The numbers of a contiguous CPU tensor of kind `E`; `None` for any other.
pub(crate) fn slice<E: Number>(x: &Tensor) -> Option<&[E]> {
    // SAFETY: the tensor is dense, contiguous, of this kind and on the CPU, so numel numbers lie at data_ptr; they live as long as the
    // tensor, which is borrowed. Nobody writes to them meanwhile: tensors are Send but not Sync, and no libtorch call is made during the borrow.
    visible::<E>(x).then(|| match x.numel() {
        0 => &[][..],
        n => unsafe { std::slice::from_raw_parts(x.data_ptr().cast::<E>().cast_const(), n) },
    })
}

/// The same, to be written to. Nets that share the tensor see what is written.
pub(crate) fn slice_mut<E: Number>(x: &mut Tensor) -> Option<&mut [E]> {
    // SAFETY: as in `slice`, with the tensor borrowed mutably. Its shallow clones hold the same storage; callers hold no slice of one of them.
    visible::<E>(x).then(|| match x.numel() {
        0 => &mut [][..],
        n => unsafe { std::slice::from_raw_parts_mut(x.data_ptr().cast::<E>(), n) },
    })
}
