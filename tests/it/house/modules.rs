//! Which module uses which, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// A path of names, from the root of the crate or from another crate.
type Names = Vec<String>;

/// What one module has.
#[derive(Default)]
struct Module {
    /// The names that its `use` items bind, with the paths that they stand for.
    bound: BTreeMap<String, Names>,
    /// Paths that it uses, and not only hands on.
    used: Vec<Names>,
    /// Every path as it is written.
    written: BTreeSet<String>,
    /// Its modules that only tests have.
    for_tests: Vec<String>,
}

/// The modules of a crate, by their paths in it; the root has the empty path.
pub struct Modules(BTreeMap<String, Module>);

/// True if a module is this one or lies in it.
pub fn is_within(module: &str, room: &str) -> bool {
    module == room
        || module
            .strip_prefix(room)
            .is_some_and(|rest| rest.starts_with("::"))
}

impl Modules {
    /// The modules of the library.
    pub fn of_library() -> Self {
        Self::of(|path| !path.starts_with("cli/") && path != "main.rs")
    }

    /// The modules of the program.
    pub fn of_program() -> Self {
        Self::of(|path| path.starts_with("cli/"))
    }

    fn of(is_wanted: impl Fn(&str) -> bool) -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = super::files_below("src", "rs");
        let paths = files
            .iter()
            .filter_map(|file| file.strip_prefix(&src).ok()?.to_str());
        let wanted: Vec<&str> = paths.filter(|path| is_wanted(path)).collect();
        let names: BTreeSet<String> = wanted.iter().map(|path| module_of(path)).collect();
        let modules = wanted.iter().map(|path| {
            let name = module_of(path);
            let file = syn::parse_file(&super::read(&src.join(path))).expect("it compiles");
            let mut reader = Reader {
                name: &name,
                names: &names,
                module: Module::default(),
            };
            reader.visit_file(&file);
            (name.clone(), reader.module)
        });
        let mut modules: BTreeMap<String, Module> = modules.collect();
        let for_tests = modules.values().flat_map(|module| module.for_tests.clone());
        for module in for_tests.collect::<Vec<_>>() {
            modules.remove(&module);
        }
        Self(modules)
    }

    /// The paths of all modules.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The modules that a module uses.
    pub fn used_by(&self, module: &str) -> BTreeSet<&str> {
        let used = self.0[module].used.iter().map(|path| self.resolve(path, 0));
        used.filter(|used| *used != module).collect()
    }

    /// True if a module names a crate, or another module of its own crate.
    pub fn mentions(&self, module: &str, name: &str) -> bool {
        let own = self.0.contains_key(name);
        let is_used = |path: &String| is_within(path, name);
        self.0[module].written.iter().any(is_used)
            || own
                && self
                    .used_by(module)
                    .iter()
                    .any(|used| is_within(used, name))
    }

    /// The module in which an item is, through those that only hand it on.
    fn resolve(&self, path: &[String], depth: usize) -> &str {
        let mut length = path.len();
        let (name, module) = loop {
            if let Some(found) = self.0.get_key_value(&path[..length].join("::")) {
                break found;
            }
            length -= 1;
        };
        match path.get(length).and_then(|next| module.bound.get(next)) {
            Some(bound) if depth < 8 && bound != path => {
                let path = [&bound[..], &path[length + 1..]].concat();
                self.resolve(&path, depth + 1)
            }
            _ => name,
        }
    }

    /// Modules that use each other, each circle once.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let reached_from = |start| {
            let mut reached = BTreeSet::new();
            let mut next = vec![start];
            while let Some(module) = next.pop() {
                let new = self.used_by(module);
                next.extend(new.into_iter().filter(|used| reached.insert(*used)));
            }
            reached
        };
        let reached: BTreeMap<&str, _> = self.names().map(|m| (m, reached_from(m))).collect();
        let circle_of = |module: &str| -> Vec<&str> {
            let others = reached[module].iter().copied();
            others
                .filter(|other| reached[other].contains(module))
                .collect()
        };
        let circles: BTreeSet<Vec<&str>> = self.names().map(circle_of).collect();
        circles
            .into_iter()
            .filter(|circle| !circle.is_empty())
            .collect()
    }
}

fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs").replace('/', "::");
    match path.as_str() {
        "lib" => String::new(),
        _ => path.trim_end_matches("::mod").to_owned(),
    }
}

/// Reads what a module uses; what only tests use does not count.
struct Reader<'a> {
    name: &'a str,
    names: &'a BTreeSet<String>,
    module: Module,
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let test = attribute.parse_args::<syn::Ident>();
        attribute.path().is_ident("cfg") && test.is_ok_and(|test| test == "test")
    })
}

impl Reader<'_> {
    /// The path from the root of the crate; `None` if it leads to another crate.
    fn absolute(&self, path: &[String]) -> Option<Names> {
        let own: Names = self
            .name
            .split("::")
            .filter(|n| !n.is_empty())
            .map(str::to_owned)
            .collect();
        let supers = path.iter().take_while(|name| *name == "super").count();
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([&own[..], &path[1..]].concat()),
            "super" => Some([&own[..own.len() - supers], &path[supers..]].concat()),
            first => {
                let child = [&own[..], &[first.to_owned()]].concat().join("::");
                self.names
                    .contains(&child)
                    .then(|| [&own[..], path].concat())
            }
        }
    }

    fn bind(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.bind(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.bind(tree, before)),
            UseTree::Name(name) if name.ident == "self" => self.bind_as(before.last(), before),
            UseTree::Name(name) => self.bind_as(Some(&name.ident.to_string()), &with(&name.ident)),
            UseTree::Rename(rename) => {
                self.bind_as(Some(&rename.rename.to_string()), &with(&rename.ident));
            }
            UseTree::Glob(_) => {}
        }
    }

    fn bind_as(&mut self, name: Option<&String>, path: &[String]) {
        self.module.written.insert(path.join("::"));
        if let (Some(name), Some(path)) = (name, self.absolute(path)) {
            self.module.bound.insert(name.clone(), path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        // Names are bound before their uses are looked at.
        for item in &file.items {
            if let Item::Use(item) = item
                && !is_for_tests(&item.attrs)
            {
                self.bind(&item.tree, &[]);
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_for_tests(&item.attrs) {
            let path = format!("{}::{}", self.name, item.ident);
            self.module.for_tests.push(path);
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    /// `pub(crate)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.module.written.insert(names.join("::"));
        let used = match self.module.bound.get(&names[0]) {
            Some(bound) => Some([&bound[..], &names[1..]].concat()),
            // A single name may be that of a variable.
            None if names.len() > 1 => self.absolute(&names),
            None => None,
        };
        self.module.used.extend(used);
        visit::visit_path(self, path);
    }
}
