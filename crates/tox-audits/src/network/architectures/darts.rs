//! Networks of a genotype of DARTS.

use super::cells::{Cells, Size};
use super::{Architecture, Images, Inferred, NetworkError, Taken, behind};
use tox_nn::nets::file::WeightsFile;
use tox_search::space::cells::CellGenotype;
use tox_search::space::darts::{Cell, Edge, Genotype, NODES, Op};

pub struct Darts;

const CELLS: Cells = Cells {
    mark: ".preprocess1.op.1.weight",
    between: false,
    // The stem has three times the channels of a node.
    multiple: 3,
};

impl Architecture for Darts {
    fn name(&self) -> &'static str {
        "darts"
    }

    fn notation(&self) -> &'static str {
        "darts:Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], \
         reduce_concat=range(2, 6))"
    }

    fn about(&self) -> &'static str {
        "the network of a genotype of DARTS and P-DARTS, in the notation of their code"
    }

    fn tensors(&self) -> &'static str {
        "stem.0, cells.0.preprocess0.op.1, cells.0._ops.0.op.1, classifier"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["stem.0.weight", "classifier.weight"]
    }

    fn read(&self, text: &str) -> Option<Result<String, String>> {
        let text = behind(self.name(), text, "Genotype(")?;
        let genotype = text.parse::<Genotype>().map_err(|e| e.to_string());
        Some(genotype.map(|genotype| format!("{}:{genotype}", self.name())))
    }

    /// The auxiliary head is of trainings alone.
    fn ours(&self, name: &str) -> Option<String> {
        (!name.starts_with("auxiliary_head.")).then(|| name.to_owned())
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        match CELLS.size(file) {
            Some(Size { channels, cells }) => Inferred::Unsaid(format!(
                "it is of a network of the DARTS space with {channels} channels and {cells} cells; names and shapes \
                 do not say what its ops read: give --arch 'darts:Genotype(normal=[...], ...)'"
            )),
            None => Inferred::Other,
        }
    }

    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let genotype = behind(self.name(), text, "")
            .unwrap_or(text)
            .parse::<Genotype>();
        let genotype = genotype.map(CellGenotype::Darts);
        CELLS.take(genotype, text, file, images, &|name| self.ours(name))
    }

    fn example(&self) -> Vec<String> {
        let ops = [Op::Skip, Op::Sep3, Op::Sep5, Op::Dil3, Op::Dil5];
        let mut edges = ops.iter().cycle().map(|op| Edge { input: 0, op: *op });
        let mut pair = || {
            [(); 2].map(|()| {
                edges.next().unwrap_or(Edge {
                    input: 0,
                    op: Op::Skip,
                })
            })
        };
        let cells = [(); 2].map(|()| Cell::new([(); NODES].map(|()| pair())));
        match cells {
            [Ok(normal), Ok(reduce)] => {
                CELLS.example(&CellGenotype::Darts(Genotype { normal, reduce }), 3)
            }
            _ => Vec::new(),
        }
    }
}
