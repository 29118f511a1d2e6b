//! Paths of an experiment, which are relative to its file.

use std::path::Path;

use super::Experiment;
use crate::data::table::given;

impl Experiment {
    /// Makes all paths absolute, so that what is trained may be used from anywhere; `directory` is that of the
    /// experiment's file.
    pub fn make_paths_absolute(&mut self, directory: &Path) {
        let absolute = |path: &mut String| {
            if given::is_name(Path::new(path)) {
                return;
            }
            let joined = directory.join(&path);
            if let Ok(full) = std::path::absolute(joined) {
                *path = full.to_string_lossy().into_owned();
            }
        };
        let model = &mut self.model;
        let of_model = model.features.as_mut().into_iter().chain(model.from.as_mut());
        self.data.paths().into_iter().chain(of_model).for_each(absolute);
    }
}
