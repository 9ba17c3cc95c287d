//! The paths of the preset `retail`, as data: every reader gets the same ones in the same order.

/// Paths of an object, and of the elements of its lists.
pub(crate) struct RetailPaths {
    pub(crate) values: Vec<&'static str>,
    pub(crate) lists: Vec<ListPaths>,
}

/// The path of a list, and the paths of its elements.
pub(crate) struct ListPaths {
    pub(crate) path: &'static str,
    pub(crate) values: Vec<&'static str>,
}

impl RetailPaths {
    /// Reads `retail_paths.txt`.
    pub(crate) fn read() -> Self {
        let mut paths = Self {
            values: Vec::new(),
            lists: Vec::new(),
        };
        let lines = include_str!("retail_paths.txt").lines();
        for line in lines.filter(|line| !line.starts_with('#')) {
            if let Some(path) = line.strip_suffix("[]") {
                paths.lists.push(ListPaths {
                    path,
                    values: Vec::new(),
                });
            } else if let Some(path) = line.strip_prefix("  ") {
                let list = paths.lists.last_mut().expect("a list above its elements");
                list.values.push(path);
            } else {
                paths.values.push(line);
            }
        }
        paths
    }
}
