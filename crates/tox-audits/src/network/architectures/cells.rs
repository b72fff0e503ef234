//! What the networks of both cell spaces share.

use super::{Images, NetworkError, Taken};
use tox_nn::nets::file::WeightsFile;
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::count;
use tox_search::space::SpaceError;
use tox_search::space::cells::CellGenotype;

/// How a file of one space is read.
pub struct Cells {
    /// A tensor that begins the name of every cell's, or of what stands between two stages of them.
    pub mark: &'static str,
    /// Whether the marks stand between stages: then the first has as many cells before it as a stage.
    pub between: bool,
    /// Channels of the stem for each of a first node.
    pub multiple: usize,
}

/// What a file says.
pub struct Size {
    pub channels: usize,
    pub cells: usize,
}

impl Cells {
    /// The size of the network that a file is of.
    pub fn size(&self, file: &WeightsFile) -> Option<Size> {
        let stem = *file.shape("stem.0.weight")?.first()?;
        let marked = file.shapes.keys().filter_map(|name| {
            let cell = name.strip_prefix("cells.")?.strip_suffix(self.mark)?;
            cell.parse::<usize>().ok()
        });
        let cells = match self.between {
            true => marked.min()?,
            false => marked.max()? + 1,
        };
        let channels = stem / self.multiple;
        let fits = channels > 0 && cells > 0 && stem.is_multiple_of(self.multiple);
        fits.then_some(Size { channels, cells })
    }

    /// The network of a genotype with the file's numbers.
    pub fn take(
        &self,
        genotype: Result<CellGenotype, SpaceError>,
        text: &str,
        file: &WeightsFile,
        images: Images,
        ours: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Taken, NetworkError> {
        let refused = |reason: String| NetworkError::Images {
            arch: text.to_owned(),
            images,
            reason,
        };
        let genotype = genotype.map_err(|e| refused(e.to_string()))?;
        let Some(Size { channels, cells }) = self.size(file) else {
            return Err(NetworkError::Unknown {
                path: file.path.clone(),
                reason: format!(
                    "it has no `stem.0.weight` and `cells.I{}`, which every network of --arch {text} has",
                    self.mark
                ),
            });
        };
        let shape = SupernetShape {
            channels,
            cells,
            classes: images.classes,
            input: images.shape,
        };
        let counts = match &genotype {
            CellGenotype::Darts(genotype) => count::darts(genotype, &shape.darts(false)),
            CellGenotype::NasBench201(cell) => count::nasbench201(cell, &shape.nasbench201()),
        };
        let counts = counts.map_err(|e| refused(e.to_string()))?;
        let made = GenotypeNetwork::new(&genotype, shape, (0, "weights"));
        let (network, mut state) = made.map_err(|e| refused(e.to_string()))?;
        file.load(&mut state, ours)?;
        Ok(Taken {
            network: Box::new((network, state)),
            parameters: counts.params,
            macs: counts.macs,
        })
    }

    /// Names of the tensors of a network of `cells` cells.
    pub fn example(&self, genotype: &CellGenotype, cells: usize) -> Vec<String> {
        let shape = SupernetShape {
            channels: 2,
            cells,
            classes: 10,
            input: [3, 32, 32],
        };
        let made = GenotypeNetwork::new(genotype, shape, (0, "weights"));
        made.map_or_else(|_| Vec::new(), |(_, state)| state.names())
    }
}
