//! What half precision should be: the multiple of the last place that is nearest.

use super::{Half, Way};
use crate::base::number::half;
use crate::kernels::oracle::Operands;
use crate::oracle::{Approx, Real};

impl Half {
    /// Writes what the kernel computes.
    pub(super) fn evaluate(&self, operands: &Operands, writes: &mut [Vec<Approx>]) {
        let read = &operands.reads[0];
        for at in 0..self.len {
            let scale = 65536f64.powi((at % 2) as i32);
            match self.way {
                Way::Store => {
                    let so_far = if at % 2 == 0 { 0.0 } else { writes[0][at / 2].value };
                    writes[0][at / 2] = Approx::exact(so_far + scale * f64::from(nearest(read[at])));
                }
                Way::Load => {
                    let bits = (read[at / 2] / scale).floor() % 65536.0;
                    writes[0][at] = Approx::exact(f64::from(half(bits as u16)));
                }
            }
        }
    }
}

/// The bits of the half-precision number nearest to `x`, found by arithmetic rather than from the bits of `x`.
pub(super) fn nearest(x: f64) -> u16 {
    let sign = if x.is_sign_negative() { 1 << 15 } else { 0 };
    let size = x.abs();
    if size.is_nan() {
        return sign | 0x7e00;
    }
    if size.is_infinite() {
        return sign | 0x7c00;
    }
    // The place of the last bit, 2^-24 for the smallest, and the number in units of it.
    let mut exponent = 1;
    while exponent < 30 && size >= 2f64.powi(exponent - 14) {
        exponent += 1;
    }
    let units = (size / 2f64.powi(exponent - 25)).round_ties_even();
    let bits = (f64::from(exponent - 1) * 1024.0 + units).min(f64::from(0x7bff));
    sign | bits as u16
}
