//! All trees of the database, by name.

use std::ops::Index;
use std::sync::Arc;

use crate::error::StorageError;
use crate::store::bytes::tree_name::TreeName;
use crate::store::database::Database;
use crate::store::database::tree::Tree;
use crate::store::database::view::{DatabaseView, LastKeys};

/// Every tree of the database, at present or as of a view: `trees[TreeName::Journal]`.
#[derive(Debug, Clone)]
pub(crate) struct Trees {
    pub(crate) database: Database,
    trees: [Tree; TreeName::ALL.len()],
}

impl Trees {
    /// Returns the trees at present.
    pub(crate) fn new(database: Database) -> Self {
        Self::viewed(database, None)
    }

    /// Returns the trees as of a view.
    pub(crate) fn at(&self, view: Arc<DatabaseView>) -> Self {
        Self::viewed(self.database.clone(), Some(view))
    }

    fn viewed(database: Database, view: Option<Arc<DatabaseView>>) -> Self {
        Self {
            trees: TreeName::ALL.map(|name| Tree::new(database.clone(), name, view.clone())),
            database,
        }
    }

    /// The last key of each tree at present.
    pub(crate) fn last_keys(&self) -> Result<LastKeys, StorageError> {
        let mut last_keys = [const { None }; TreeName::ALL.len()];
        for (tree, last_key) in self.trees.iter().zip(&mut last_keys) {
            *last_key = tree.last_key()?;
        }
        Ok(last_keys)
    }
}

impl Index<TreeName> for Trees {
    type Output = Tree;

    fn index(&self, name: TreeName) -> &Tree {
        &self.trees[name as usize]
    }
}
