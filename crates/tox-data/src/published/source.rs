//! Where the files of a published data set come from.

/// A published checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// MD5, as torchvision and the CIFAR page publish it: it guards against damage, not against an
    /// adversary who can make collisions.
    Md5(String),
}

/// One file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Name at the end of the address, and on disk.
    pub file: String,
    /// Checksum of the whole file.
    pub checksum: Checksum,
    /// Bytes of which it has fewer: more of them cannot be the file.
    pub most: u64,
}

impl Remote {
    pub(super) fn md5(file: &str, md5: &str, most: u64) -> Self {
        Self {
            file: file.to_owned(),
            checksum: Checksum::Md5(md5.to_owned()),
            most,
        }
    }
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Known name.
    pub name: String,
    /// Address to which `/` and a file name are appended.
    pub base: String,
    /// Files to download; one that ends in `.tar.gz` is unpacked and removed.
    pub files: Vec<Remote>,
    /// Folder in the data folder.
    pub folder: String,
    /// Files the folder must hold in the end; of an archive, only these are unpacked.
    pub contents: Vec<String>,
}
