//! Where the taps of windows lie in an image.

/// One axis: tap `t` of the window at position `p` lies at coordinate `p stride + t step + origin`, and line
/// `l` of the image at coordinate `l up`.
///
/// A convolution or pooling with padding has `origin = -padding`, `step = dilation` and `up = 1`; a
/// transposed convolution has `up` for its stride.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Positions of the window.
    pub positions: usize,
    /// Taps of the window.
    pub taps: usize,
    /// Lines of the image.
    pub extent: usize,
    /// Coordinates from one position to the next.
    pub stride: usize,
    /// Coordinates from one tap to the next.
    pub step: isize,
    /// Coordinate of tap 0 at position 0.
    pub origin: isize,
    /// Coordinates from one line of the image to the next.
    pub up: usize,
}

impl Axis {
    /// Where tap `t` lies at position `p`.
    pub fn coordinate(&self, p: usize, t: usize) -> isize {
        p as isize * self.stride as isize + t as isize * self.step + self.origin
    }

    /// The line of the image there, if there is one.
    pub fn line(&self, p: usize, t: usize) -> Option<usize> {
        let (coordinate, up) = (self.coordinate(p, t), self.up as isize);
        let is_line = coordinate >= 0 && coordinate % up == 0 && coordinate / up < self.extent as isize;
        is_line.then_some((coordinate / up) as usize)
    }
}
