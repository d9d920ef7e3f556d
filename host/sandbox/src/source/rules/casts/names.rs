//! What the names of a file could stand for, wherever in it they stand.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{
    Block, ConstParam, ExprForLoop, Field, Fields, File, Ident, Item, ItemConst, ItemEnum,
    ItemStruct, ItemType, Local, Pat, PatIdent, PatType, ReturnType, Signature, Type, TypeParam,
    UseGlob, UseName, UseRename, Variant,
};

use super::{counts, is_primitive, named};

/// The types that the file declares.
#[derive(Default)]
pub(super) struct Types {
    /// Enums without fields, declared outside functions and modules and under a name that no other type has, with their
    /// variants. Their values cast to their numbers.
    pub(super) enums: BTreeMap<String, BTreeSet<String>>,
    depth: usize,
}

impl Types {
    pub(super) fn of(file: &File) -> Self {
        let mut types = Types::default();
        for item in &file.items {
            if let Item::Enum(item) = item
                && let Some(variants) = plain_variants(item)
            {
                types.enums.insert(item.ident.to_string(), variants);
            }
        }
        types.visit_file(file);
        types
    }

    pub(super) fn is_enum(&self, written: &Type) -> bool {
        named(written).is_some_and(|name| self.enums.contains_key(&name.to_string()))
    }

    fn other(&mut self, name: &Ident) {
        self.enums.remove(&name.to_string());
    }
}

/// The variants of an enum none of which has fields, not even none in brackets: that one would be a function.
fn plain_variants(item: &ItemEnum) -> Option<BTreeSet<String>> {
    let plain = |variant: &Variant| {
        matches!(variant.fields, Fields::Unit).then(|| variant.ident.to_string())
    };
    item.variants.iter().map(plain).collect()
}

impl<'ast> Visit<'ast> for Types {
    fn visit_block(&mut self, block: &'ast Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, module);
        self.depth -= 1;
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        if self.depth > 0 || plain_variants(item).is_none() {
            self.other(&item.ident);
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.other(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.other(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_type_param(&mut self, parameter: &'ast TypeParam) {
        self.other(&parameter.ident);
        visit::visit_type_param(self, parameter);
    }

    fn visit_use_name(&mut self, name: &'ast UseName) {
        self.other(&name.ident);
    }

    fn visit_use_rename(&mut self, name: &'ast UseRename) {
        self.other(&name.rename);
    }
}

/// What a call of a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returned {
    Number,
    Enum,
}

/// What the file's values are called.
pub(super) struct Names {
    pub(super) types: Types,
    /// Names that are bound to what may be no number, or are those of something else than a variable.
    pub(super) doubtful: BTreeSet<String>,
    /// Names that a `let` binds without a type. What they are bound to is judged where the scope is known.
    pub(super) untyped: BTreeSet<String>,
    /// Names that are given an enum of the file as their type.
    pub(super) of_enums: BTreeSet<String>,
    /// Functions and methods.
    pub(super) functions: BTreeSet<String>,
    /// Functions outside modules and other functions that return a number or a value of an enum.
    pub(super) returning: BTreeMap<String, Returned>,
    pub(super) fields: BTreeSet<String>,
    /// A `use …::*` within a function can put anything before the function's own names.
    pub(super) glob_within_function: bool,
    depth: usize,
}

impl Names {
    pub(super) fn of(file: &File, types: Types) -> Self {
        let mut names = Names {
            types,
            doubtful: BTreeSet::new(),
            untyped: BTreeSet::new(),
            of_enums: BTreeSet::new(),
            functions: BTreeSet::new(),
            returning: BTreeMap::new(),
            fields: BTreeSet::new(),
            glob_within_function: false,
            depth: 0,
        };
        for item in &file.items {
            if let Item::Fn(item) = item
                && let Some(returned) = names.returned(&item.sig)
            {
                names.returning.insert(item.sig.ident.to_string(), returned);
            }
        }
        names.visit_file(file);
        names
    }

    fn returned(&self, signature: &Signature) -> Option<Returned> {
        match &signature.output {
            ReturnType::Type(_, written) if is_primitive(written) => Some(Returned::Number),
            ReturnType::Type(_, written) if self.types.is_enum(written) => Some(Returned::Enum),
            _ => None,
        }
    }

    fn doubt(&mut self, name: &Ident) {
        self.doubtful.insert(name.to_string());
    }

    fn has_type(&mut self, name: &Ident, written: &Type) {
        if self.types.is_enum(written) {
            self.of_enums.insert(name.to_string());
        } else if !is_primitive(written) {
            self.doubt(name);
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        // Of two by one name it is not known which one a call means.
        if !self.functions.insert(signature.ident.to_string()) {
            self.returning.remove(&signature.ident.to_string());
        }
        visit::visit_signature(self, signature);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_use_glob(&mut self, _: &'ast UseGlob) {
        self.glob_within_function |= self.depth > 0;
    }

    fn visit_use_name(&mut self, name: &'ast UseName) {
        self.doubt(&name.ident);
    }

    fn visit_use_rename(&mut self, name: &'ast UseRename) {
        self.doubt(&name.rename);
    }

    fn visit_variant(&mut self, variant: &'ast Variant) {
        self.doubt(&variant.ident);
        visit::visit_variant(self, variant);
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.doubt(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_field(&mut self, field: &'ast Field) {
        self.fields.extend(field.ident.as_ref().map(Ident::to_string));
        visit::visit_field(self, field);
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.has_type(&item.ident, &item.ty);
        visit::visit_item_const(self, item);
    }

    fn visit_const_param(&mut self, parameter: &'ast ConstParam) {
        self.has_type(&parameter.ident, &parameter.ty);
        visit::visit_const_param(self, parameter);
    }

    /// A name with its type: what remains is the pattern, which is a name alone or is looked into.
    fn visit_pat_type(&mut self, typed: &'ast PatType) {
        match &*typed.pat {
            Pat::Ident(name) if is_plain(name) => self.has_type(&name.ident, &typed.ty),
            _ => visit::visit_pat_type(self, typed),
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        match (&local.pat, &local.init) {
            (Pat::Ident(name), Some(init)) if is_plain(name) => {
                self.untyped.insert(name.ident.to_string());
                visit::visit_local_init(self, init);
            }
            _ => visit::visit_local(self, local),
        }
    }

    fn visit_expr_for_loop(&mut self, each: &'ast ExprForLoop) {
        match &*each.pat {
            Pat::Ident(name) if is_plain(name) && counts(&each.expr) => {
                self.visit_expr(&each.expr);
                self.visit_block(&each.body);
            }
            _ => visit::visit_expr_for_loop(self, each),
        }
    }

    fn visit_pat_ident(&mut self, name: &'ast PatIdent) {
        self.doubt(&name.ident);
        visit::visit_pat_ident(self, name);
    }
}

/// A name and nothing else: no reference to what it is bound to, no pattern behind it.
pub(super) fn is_plain(name: &PatIdent) -> bool {
    name.by_ref.is_none() && name.subpat.is_none()
}
