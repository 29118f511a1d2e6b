//! Windows of images as the rows of a matrix, located by index arithmetic: this makes a convolution a matrix
//! product without copying windows.

use super::MatrixView;

/// One axis of a convolution: tap `t` of the window at position `p` reads coordinate
/// `p * stride + t * step + origin` of an image whose lines are `up` apart. Outside the image and between its
/// lines there are zeros.
///
/// A convolution with padding `before` has `step = dilation`, `origin = -before` and `up = 1`. Its input
/// gradient has `stride` and `up` swapped, and the signs of `step` and `origin` reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowAxis {
    /// Window positions.
    pub positions: usize,
    /// Window taps.
    pub taps: usize,
    /// Image lines.
    pub extent: usize,
    /// Coordinates between adjacent positions.
    pub stride: usize,
    /// Coordinates between adjacent taps.
    pub step: isize,
    /// Coordinate of tap 0 at position 0.
    pub origin: isize,
    /// Coordinates between adjacent image lines.
    pub up: usize,
}

impl WindowAxis {
    /// The image line under a tap, if there is one.
    #[inline(always)]
    pub fn line(&self, position: usize, tap: usize) -> Option<usize> {
        let coordinate = (position * self.stride) as isize + tap as isize * self.step + self.origin;
        let coordinate = usize::try_from(coordinate).ok()?;
        let line = coordinate / self.up;
        (line * self.up == coordinate && line < self.extent).then_some(line)
    }

    /// The positions at which a tap reads a line of the image: first, distance, count.
    pub fn under(&self, tap: usize) -> (usize, usize, usize) {
        let mut inside = (0..self.positions).filter(|&p| self.line(p, tap).is_some());
        let Some(first) = inside.next() else { return (0, 1, 0) };
        let Some(second) = inside.next() else { return (first, 1, 1) };
        // Positions that hit a line are periodic, and those inside the image are consecutive.
        (first, second - first, 2 + inside.count())
    }
}

/// Windows of images as a matrix: a row is a position (image, y, x), a column a tap and channel (y, x,
/// channel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// Images.
    pub images: usize,
    /// Vertical, then horizontal.
    pub axes: [WindowAxis; 2],
    /// Channels of a window, i.e. of one group.
    pub channels: usize,
    /// First element.
    pub offset: usize,
    /// Elements between the channels of adjacent groups.
    pub batch: usize,
    /// Elements between adjacent images, lines, columns, and channels.
    pub strides: [usize; 4],
    /// Whether the matrix is transposed: rows are taps and channels, columns are positions.
    pub swapped: bool,
}

impl Windows {
    /// Positions of all images.
    pub fn positions(&self) -> usize {
        self.images * self.axes[0].positions * self.axes[1].positions
    }

    /// Elements per window.
    pub fn window(&self) -> usize {
        self.axes[0].taps * self.axes[1].taps * self.channels
    }

    /// Number of rows and columns of the matrix.
    pub fn shape(&self) -> [usize; 2] {
        if self.swapped { [self.window(), self.positions()] } else { [self.positions(), self.window()] }
    }

    /// Location of the element of matrix `z` at (row, column); `None` in the padding.
    #[inline(always)]
    pub fn element(&self, z: usize, row: usize, column: usize) -> Option<usize> {
        let (position, part) = if self.swapped { (column, row) } else { (row, column) };
        let [down, along] = &self.axes;
        let (tap, channel) = (part / self.channels, part % self.channels);
        let y = down.line(position / along.positions % down.positions, tap / along.taps)?;
        let x = along.line(position % along.positions, tap % along.taps)?;
        let image = position / (along.positions * down.positions);
        let [per_image, per_line, per_column, per_channel] = self.strides;
        let start = self.offset + z * self.batch + image * per_image;
        Some(start + y * per_line + x * per_column + channel * per_channel)
    }

    /// One more than the largest index over `groups` groups.
    pub fn end(&self, groups: usize) -> usize {
        let last = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        let [per_image, per_line, per_column, per_channel] = self.strides;
        1 + self.offset
            + last(groups, self.batch)
            + last(self.images, per_image)
            + last(self.axes[0].extent, per_line)
            + last(self.axes[1].extent, per_column)
            + last(self.channels, per_channel)
    }

    /// Elements of the images, for a single group.
    pub fn footprint(&self) -> usize {
        self.images * self.axes[0].extent * self.axes[1].extent * self.channels
    }
}

/// The left operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// A matrix in memory.
    Matrix(MatrixView),
    /// Windows of images.
    Windows(Windows),
}

impl Left {
    /// The matrix, if it is one in memory.
    pub fn matrix(&self) -> Option<MatrixView> {
        match self {
            Left::Matrix(view) => Some(*view),
            Left::Windows(_) => None,
        }
    }

    /// How many sums a product with `batch` matrices of `m` rows and `n` columns computes along
    /// ([`super::Sums`]).
    pub fn sums_len(&self, batch: usize, m: usize, n: usize) -> usize {
        match self {
            Left::Matrix(_) => m,
            Left::Windows(_) => batch * n,
        }
    }

    /// Location of the element of matrix `z` at (row, column); `None` in the padding.
    pub fn element(&self, z: usize, row: usize, column: usize) -> Option<usize> {
        match self {
            Left::Matrix(v) => Some(v.offset + z * v.batch + row * v.row + column * v.col),
            Left::Windows(windows) => windows.element(z, row, column),
        }
    }
}
