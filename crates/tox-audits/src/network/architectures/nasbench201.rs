//! Networks of a cell of NAS-Bench-201.

use super::cells::{Cells, Size};
use super::{Architecture, Images, Inferred, NetworkError, Taken, behind};
use tox_nn::nets::file::WeightsFile;
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::{Cell, Op};

pub struct NasBench201;

const CELLS: Cells = Cells {
    // A cell of skips and pools alone has no tensors.
    mark: ".conv_a.op.1.weight",
    between: true,
    multiple: 1,
};

impl Architecture for NasBench201 {
    fn name(&self) -> &'static str {
        "nasbench201"
    }

    fn notation(&self) -> &'static str {
        "nasbench201:|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    }

    fn about(&self) -> &'static str {
        "the network of a cell of NAS-Bench-201, in the notation of reports and records"
    }

    fn tensors(&self) -> &'static str {
        "stem.0, cells.0.layers.0.op.1, lastact.0, classifier"
    }

    fn ends(&self) -> [&'static str; 2] {
        ["stem.0.weight", "classifier.weight"]
    }

    fn read(&self, text: &str) -> Option<Result<String, String>> {
        let text = behind(self.name(), text, "|")?;
        let cell = text.parse::<Cell>().map_err(|e| e.to_string());
        Some(cell.map(|cell| format!("{}:{cell}", self.name())))
    }

    fn ours(&self, name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn infer(&self, file: &WeightsFile) -> Inferred {
        match CELLS.size(file) {
            Some(Size { channels, cells }) => Inferred::Unsaid(format!(
                "it is of a network of NAS-Bench-201 with {channels} channels and {cells} cells a stage; names and \
                 shapes do not say which of a cell's edges are skips, pools or zeros: give \
                 --arch 'nasbench201:|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'"
            )),
            None => Inferred::Other,
        }
    }

    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError> {
        let cell = behind(self.name(), text, "")
            .unwrap_or(text)
            .parse::<Cell>();
        let genotype = cell.map(CellGenotype::NasBench201);
        CELLS.take(genotype, text, file, images, &|name| self.ours(name))
    }

    fn example(&self) -> Vec<String> {
        let [conv1, conv3] = [Op::Conv1, Op::Conv3];
        let ops = [conv3, conv1, conv3, conv1, conv3, conv1];
        CELLS.example(&CellGenotype::NasBench201(Cell { ops }), 1)
    }
}
