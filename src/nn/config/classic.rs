//! Keys of the `resnet` and `alexnet` families in the `[model]` table: networks with a name in the literature, with
//! torchvision's names of parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, ModelConfig, Named};
use crate::base::image::ImageShape;
use crate::nn::layers::keys::{three, two};
use crate::nn::layers::{
    Activate, Activation, AdaptivePool, BatchNorm, Block, Conv2d, Dense, Dropout, Flatten, GlobalPool,
    KernelInit, MaxPool, NamedPadding, Padding, Pair, Pooling, Residual,
};

/// The first layers of a `resnet` or `alexnet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// A convolution with a large kernel and a stride, and pooling, as for pictures of 224 pixels.
    Imagenet,
    /// A 3 x 3 convolution that keeps the size, as for pictures of 32 pixels.
    Cifar,
}

/// Pictures whose shorter side has fewer pixels have the stem of small ones.
const LARGE: usize = 64;
/// Default depth of a `resnet`.
const DEPTH: usize = 18;
/// Default dropout rate of an `alexnet`, torchvision's.
const DROPOUT: f64 = 0.5;

/// Blocks of each stage, and their kind, of a residual network for ImageNet (He et al. 2016, arXiv:1512.03385, table 1).
fn stages(depth: usize) -> Option<([usize; 4], Block)> {
    Some(match depth {
        18 => ([2, 2, 2, 2], Block::Basic),
        34 => ([3, 4, 6, 3], Block::Basic),
        50 => ([3, 4, 6, 3], Block::Bottleneck),
        101 => ([3, 4, 23, 3], Block::Bottleneck),
        152 => ([3, 8, 36, 3], Block::Bottleneck),
        _ => return None,
    })
}

/// Depths of those for CIFAR (the same paper, section 4.2): three stages of `n` blocks have `6 n + 2` layers.
const FOR_CIFAR: [usize; 5] = [20, 32, 44, 56, 110];

impl ModelConfig {
    /// The layers of a `resnet` or `alexnet` before the output layer, for images of this shape.
    pub(super) fn classic(&self, image: Option<ImageShape>) -> Vec<Named> {
        let small = image.is_some_and(|image| image.height.min(image.width) < LARGE);
        let stem = self.stem.unwrap_or(if small { Stem::Cifar } else { Stem::Imagenet });
        match self.family {
            Family::Alexnet => self.alexnet(stem),
            _ => self.resnet(stem),
        }
    }

    fn resnet(&self, stem: Stem) -> Vec<Named> {
        let depth = self.depth.unwrap_or(DEPTH);
        let (counts, kind, first, stem) = match stages(depth) {
            Some((counts, kind)) => (counts.to_vec(), kind, 64, stem),
            None => (vec![depth.saturating_sub(2) / 6; 3], Block::Basic, 16, Stem::Cifar),
        };
        let (kernel, stride, padding) = match stem {
            Stem::Imagenet => (7, 2, 3),
            Stem::Cifar => (3, 1, 1),
        };
        let convolution = Conv2d {
            stride: Pair::Both(stride),
            padding: Padding::Zeros(Pair::Both(padding)),
            bias: false,
            init: KernelInit::Kaiming,
            ..Conv2d::new(first, Pair::Both(kernel))
        };
        let mut layers: Vec<Named> = vec![
            Named::new("conv1", convolution),
            Named::new("bn1", BatchNorm::default()),
            Named::new("relu", Activate::from(Activation::Relu)),
        ];
        if stem == Stem::Imagenet {
            let pool = MaxPool { size: three(), stride: Some(two()), padding: Pair::Both(1) };
            layers.push(Named::new("maxpool", pool));
        }
        let widening = if kind == Block::Bottleneck { 4 } else { 1 };
        for (stage, &count) in counts.iter().enumerate() {
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let channels = (first << stage) * widening;
                let block_of =
                    Residual { kind, init: KernelInit::Kaiming, ..Residual::new(channels, stride) };
                layers.push(Named::new(format!("layer{}.{block}", stage + 1), block_of));
            }
        }
        layers.push(Named::new("avgpool", GlobalPool { kind: Pooling::Average }));
        layers
    }

    /// Krizhevsky 2014, arXiv:1404.5997, as in torchvision.
    fn alexnet(&self, stem: Stem) -> Vec<Named> {
        let large = stem == Stem::Imagenet;
        let convolution = |channels, kernel: usize, stride, padding| Conv2d {
            stride: Pair::Both(stride),
            padding: Padding::Zeros(Pair::Both(padding)),
            ..Conv2d::new(channels, Pair::Both(kernel))
        };
        let first = match stem {
            Stem::Imagenet => convolution(64, 11, 4, 2),
            Stem::Cifar => Conv2d { padding: Padding::Named(NamedPadding::Same), ..Conv2d::new(64, three()) },
        };
        let pool = MaxPool { stride: Some(two()), ..MaxPool::new(if large { three() } else { two() }) };
        let relu = || Activate::from(Activation::Relu).into();
        let features = vec![
            first.into(),
            relu(),
            pool.clone().into(),
            convolution(192, 5, 1, 2).into(),
            relu(),
            pool.clone().into(),
            convolution(384, 3, 1, 1).into(),
            relu(),
            convolution(256, 3, 1, 1).into(),
            relu(),
            convolution(256, 3, 1, 1).into(),
            relu(),
            pool.into(),
        ];
        let numbered = |prefix: &'static str, layers: Vec<_>| {
            layers
                .into_iter()
                .enumerate()
                .map(move |(at, layer)| Named { name: format!("{prefix}.{at}"), layer })
        };
        let mut layers: Vec<Named> = numbered("features", features).collect();
        if large {
            layers.push(Named::new("avgpool", AdaptivePool { size: Pair::Both(6) }));
        }
        layers.push(Named::new("flatten", Flatten {}));
        let drop = || Dropout { rate: self.dropout }.into();
        let dense = || Dense { units: 4096, bias: true }.into();
        layers.extend(numbered("classifier", vec![drop(), dense(), relu(), drop(), dense(), relu()]));
        layers
    }

    /// Fills in the defaults of a `resnet` or `alexnet`; `is_given` says which keys of `[model]` are.
    pub(super) fn fill_in_classic(&mut self, is_given: &dyn Fn(&str) -> bool) {
        if self.family == Family::Resnet {
            self.depth.get_or_insert(DEPTH);
        } else if !is_given("dropout") {
            self.dropout = DROPOUT;
        }
    }
}

/// The first key that is out of range, or that belongs to another family.
pub(crate) fn check(model: &ModelConfig) -> Result<(), (&'static str, String)> {
    let classic = matches!(model.family, Family::Resnet | Family::Alexnet) && model.layers.is_empty();
    if !(classic && model.family == Family::Resnet) && model.depth.is_some() {
        let reason = "is a key of `family = \"resnet\"` without layers; set the family or remove the key";
        return Err(("model.depth", reason.into()));
    }
    if !classic {
        return match model.stem {
            Some(_) => {
                let reason = "is a key of `family = \"resnet\"` and \"alexnet\" without layers; set the family or \
                              remove the key";
                Err(("model.stem", reason.into()))
            }
            None => Ok(()),
        };
    }
    let depth = model.depth.unwrap_or(DEPTH);
    if model.family == Family::Resnet && stages(depth).is_none() {
        if !FOR_CIFAR.contains(&depth) {
            let reason = format!(
                "= {depth} is none of 18, 34, 50, 101, 152 (as for ImageNet) and 20, 32, 44, 56, 110 (as for CIFAR)"
            );
            return Err(("model.depth", reason));
        }
        if model.stem == Some(Stem::Imagenet) {
            let reason =
                format!("= \"imagenet\" does not go with depth {depth}; choose 18, 34, 50, 101 or 152");
            return Err(("model.stem", reason));
        }
    }
    super::unread::check_named(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::inputs::Inputs;
    use crate::nn::losses::Loss;
    use crate::nn::{Model, Supervised};

    /// Trained elements, and names, of a network for these images and classes.
    fn of(config: &str, [channels, height, width]: [usize; 3], classes: usize) -> (usize, Vec<String>) {
        let mut config: ModelConfig = toml::from_str(config).unwrap();
        config.fill_in(&|_| false);
        check(&config).unwrap();
        let inputs = Inputs {
            features: channels * height * width,
            image: Some(ImageShape { channels, height, width }),
            ..Inputs::default()
        };
        let loss = Loss::CrossEntropy { label_smoothing: 0.0, class_weights: Default::default() };
        let graph = Supervised::new(&config, inputs, classes, loss).graph(1, false).unwrap();
        let count = graph.parameters.iter().map(|p| p.shape.iter().product::<usize>()).sum();
        (count, graph.parameters.into_iter().map(|p| p.name).collect())
    }

    #[test]
    fn networks_have_as_many_parameters_as_torchvisions() {
        for (depth, count) in
            [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)]
        {
            let (found, names) = of(&format!("family = \"resnet\"\ndepth = {depth}"), [3, 224, 224], 1000);
            assert_eq!(found, count, "depth {depth}");
            for name in [
                "conv1.weight",
                "bn1.bias",
                "layer1.0.conv1.weight",
                "layer2.0.downsample.0.weight",
                "fc.bias",
            ] {
                assert!(names.iter().any(|found| found == name), "{name} of depth {depth}");
            }
        }
        let (found, names) = of("family = \"alexnet\"", [3, 224, 224], 1000);
        assert_eq!(found, 61_100_840);
        assert_eq!(names[0], "features.0.weight");
        assert_eq!(names[names.len() - 1], "classifier.6.bias");
    }

    #[test]
    fn networks_for_cifar_have_the_papers_size() {
        // Those of the paper, whose shortcuts have no weights, and the two projections with their normalisations.
        let projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64;
        for (depth, count) in [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)] {
            let (found, _) = of(&format!("family = \"resnet\"\ndepth = {depth}"), [3, 32, 32], 10);
            assert_eq!(found, count + projections, "depth {depth}");
        }
    }

    #[test]
    fn small_images_have_the_stem_of_small_images() {
        let weights = |config: &str, size| of(config, [3, size, size], 10).0;
        let less = 64 * 3 * (49 - 9);
        let [large, small] = [64, 63].map(|size| weights("family = \"resnet\"", size));
        assert_eq!(large - small, less);
        assert_eq!(weights("family = \"resnet\"\nstem = \"imagenet\"", 32), large);
        assert_eq!(weights("family = \"resnet\"\nstem = \"cifar\"", 224), small);
        // Pictures of 8 pixels are the smallest that an `alexnet` can halve three times.
        let (_, names) = of("family = \"alexnet\"", [1, 8, 8], 10);
        assert_eq!(names.len(), 16);
    }
}
