//! Parts of tiny recipes, to be put together.

/// Images attacked by three steps of PGD.
pub const EVASION: &str = "[threat]\nkind = \"evasion\"\nattack = \"pgd3\"\nepsilon = \"16/255\"\n";

/// The first lines.
pub fn head(name: &str, seeds: &[u64]) -> String {
    format!("name = \"{name}\"\nseeds = {seeds:?}\n")
}

/// So many points for training, validation and test; what follows is of `[data]` too.
pub fn data(dataset: &str, [train, valid, test]: [usize; 3]) -> String {
    format!("[data]\ndataset = \"{dataset}\"\ntrain = {train}\nvalid = {valid}\ntest = {test}\n")
}

/// A small search of ENAS: layers, channels, batch and epochs of the child; steps, aggregate and batch of the
/// controller.
pub fn enas(child: [usize; 4], controller: [usize; 3], evaluation: &str, retrain: usize) -> String {
    let [layers, channels, batch, epochs] = child;
    let [steps, aggregate, images] = controller;
    format!(
        "[learner]\nkind = \"enas\"\n\
         child = {{ layers = {layers}, channels = {channels}, batch = {batch}, epochs = {epochs} }}\n\
         controller = {{ steps = {steps}, aggregate = {aggregate}, batch = {images} }}\n\
         evaluation = {{ {evaluation} }}\nretrain = {{ epochs = {retrain} }}\n"
    )
}

/// The maps over positions of a point, with the learner's keys.
pub fn synthetic([train, valid]: [usize; 2], keys: &str) -> String {
    format!(
        "[data]\ndataset = \"gaussians\"\ntrain = {train}\nvalid = {valid}\n\
         [learner]\nkind = \"synthetic\"\n{keys}\n"
    )
}

/// A bilevel attack.
pub fn bilevel(batch: usize, batches: usize) -> String {
    format!("[threat]\nkind = \"bilevel\"\nbatch = {batch}\nbatches = {batches}\n")
}

/// A table of all sub-networks of a teacher, briefly trained and attacked.
pub fn sub_networks(teacher: &str, space: &str, images: usize) -> String {
    format!(
        "[learner]\nkind = \"sub-networks\"\nteacher = \"{teacher}\"\nattacks = [\"fgsm\"]\n{space}\
         [learner.candidate]\nwarm = false\nimages = {images}\n\
         training = {{ epochs = 1, batch = 32, validation = {{ images = 0 }} }}\n"
    )
}

/// A cell with further keys.
pub fn cell(label: &str, keys: &str) -> String {
    format!("[[cell]]\nlabel = \"{label}\"\n{keys}")
}
