//! Casts by `as`: the half of `source/no-pointers` that walks the tree.
//!
//! A function's address is a number to whoever casts it to an integer, and functions come as names, as pointers that a
//! match or an array makes of two of them, and out of structs, tuples and calls. Types are not known here, so a cast to an
//! integer is allowed only from what is a number by its form: a literal, arithmetic on such, a cast to a float (which the
//! compiler refuses to functions), a length, a hyperparameter or a field of a pair, and names that the function itself
//! gives a primitive type wherever it binds them. A cast to a float needs nothing, and another target is refused.

use std::collections::BTreeSet;

use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    BinOp, Block, Expr, ExprCast, ExprClosure, ExprForLoop, Field, FnArg, Ident, ImplItemFn, Item,
    ItemConst, ItemFn, ItemMod, ItemUse, Local, Pat, PatIdent, PatType, Signature, Type, UseGlob,
    UseName, UseRename, Variant,
};

use super::Parsed;
use crate::source::{Form, Offence};

const FLOATS: [&str; 2] = ["f32", "f64"];
const OTHERS: [&str; 14] = [
    "bool", "char", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
    "usize",
];
/// Methods of numbers that return numbers, whoever's they are.
const OF_NUMBERS: [&str; 16] = [
    "abs",
    "ceil",
    "clamp",
    "exp",
    "floor",
    "ln",
    "max",
    "min",
    "pow",
    "powi",
    "rem_euclid",
    "round",
    "saturating_sub",
    "sqrt",
    "trunc",
    "wrapping_add",
];
/// Methods of the SDK and of core that return numbers and that a file would have to define itself to mean another.
const COUNTS: [&str; 2] = ["count", "len"];
/// Public fields of core's types that hold what one likes: those of ranges.
const OF_ANY_TYPE: [&str; 2] = ["end", "start"];

pub(super) fn first_offence(parsed: &Parsed) -> Option<Offence> {
    let mut names = Names::default();
    names.visit_file(&parsed.file);
    let mut casts = Casts {
        names,
        form: parsed.form,
        scope: Vec::new(),
        offence: None,
    };
    casts.visit_file(&parsed.file);
    casts.offence
}

/// What the file's names could stand for.
#[derive(Default)]
struct Names {
    /// Names that are bound without a primitive type, or are those of something else than a variable.
    doubtful: BTreeSet<String>,
    functions: BTreeSet<String>,
    fields: BTreeSet<String>,
    depth: usize,
    /// A `use …::*` within a function can put anything before the function's own names.
    glob_within_function: bool,
}

impl Names {
    fn doubt(&mut self, name: &Ident) {
        self.doubtful.insert(name.to_string());
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        self.doubt(&signature.ident);
        self.functions.insert(signature.ident.to_string());
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

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.doubt(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_field(&mut self, field: &'ast Field) {
        self.fields
            .extend(field.ident.as_ref().map(Ident::to_string));
        visit::visit_field(self, field);
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        if !is_primitive(&item.ty) {
            self.doubt(&item.ident);
        }
        visit::visit_item_const(self, item);
    }

    /// A name with its type: what remains is the pattern, which is a name alone or is looked into.
    fn visit_pat_type(&mut self, typed: &'ast PatType) {
        match (&*typed.pat, is_primitive(&typed.ty)) {
            (Pat::Ident(_), true) => {}
            _ => visit::visit_pat_type(self, typed),
        }
    }

    fn visit_expr_for_loop(&mut self, each: &'ast ExprForLoop) {
        match &*each.pat {
            Pat::Ident(_) if counts(&each.expr) => {
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

/// A range with a literal number at an end is one of integers.
fn counts(range: &Expr) -> bool {
    match range {
        Expr::Paren(inner) => counts(&inner.expr),
        Expr::Range(range) => [&range.start, &range.end]
            .into_iter()
            .flatten()
            .any(|end| matches!(&**end, Expr::Lit(_))),
        _ => false,
    }
}

fn is_primitive(written: &Type) -> bool {
    named(written).is_some_and(|name| is_one_of(name, &FLOATS) || is_one_of(name, &OTHERS))
}

fn named(written: &Type) -> Option<&Ident> {
    match written {
        Type::Path(path) if path.qself.is_none() => path.path.get_ident(),
        _ => None,
    }
}

fn is_one_of(name: &Ident, names: &[&str]) -> bool {
    names.iter().any(|known| name == known)
}

/// Walks the functions with the names in scope that were given a primitive type.
struct Casts {
    names: Names,
    form: Form,
    scope: Vec<BTreeSet<String>>,
    offence: Option<Offence>,
}

impl Casts {
    fn bind(&mut self, name: &Ident) {
        if let Some(frame) = self.scope.last_mut() {
            frame.insert(name.to_string());
        }
    }

    fn bind_typed(&mut self, pat: &Pat) {
        if let Pat::Type(typed) = pat
            && let Pat::Ident(name) = &*typed.pat
            && is_primitive(&typed.ty)
        {
            self.bind(&name.ident);
        }
    }

    fn within(&mut self, walk: impl FnOnce(&mut Self)) {
        self.scope.push(BTreeSet::new());
        walk(self);
        self.scope.pop();
    }

    /// A function sees the constants of its module, and no variable around it.
    fn function(&mut self, signature: &Signature, body: &Block) {
        let around = std::mem::take(&mut self.scope);
        self.scope.extend(around.first().cloned());
        self.within(|walk| {
            for input in &signature.inputs {
                if let FnArg::Typed(typed) = input
                    && let Pat::Ident(name) = &*typed.pat
                    && is_primitive(&typed.ty)
                {
                    walk.bind(&name.ident);
                }
            }
            visit::visit_signature(walk, signature);
            walk.visit_block(body);
        });
        self.scope = around;
    }

    fn constants(&mut self, items: &[Item]) {
        for item in items {
            if let Item::Const(item) = item
                && is_primitive(&item.ty)
            {
                self.bind(&item.ident);
            }
        }
    }

    fn is_number(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Lit(_) => true,
            Expr::Paren(inner) => self.is_number(&inner.expr),
            Expr::Group(inner) => self.is_number(&inner.expr),
            Expr::Unary(of) if !matches!(of.op, syn::UnOp::Deref(_)) => self.is_number(&of.expr),
            Expr::Binary(of) if gives_bool(&of.op) => true,
            Expr::Binary(of) => self.is_number(&of.left) && self.is_number(&of.right),
            // Whether the cast itself is allowed is asked when the walk comes to it.
            Expr::Cast(cast) => is_primitive(&cast.ty),
            Expr::Path(path) if path.qself.is_none() => path
                .path
                .get_ident()
                .is_some_and(|name| self.is_typed(name)),
            Expr::MethodCall(call) => {
                let is_count = is_one_of(&call.method, &COUNTS) && self.is_foreign(&call.method);
                let of_numbers = is_one_of(&call.method, &OF_NUMBERS);
                is_count || (of_numbers && self.is_number(&call.receiver))
            }
            Expr::Field(of) => match &of.member {
                syn::Member::Named(name) => {
                    let declared = self.names.fields.contains(&name.to_string());
                    self.form == Form::OneFile && !declared && !is_one_of(name, &OF_ANY_TYPE)
                }
                syn::Member::Unnamed(_) => false,
            },
            _ => false,
        }
    }

    /// A crate may define it in another file.
    fn is_foreign(&self, method: &Ident) -> bool {
        self.form == Form::OneFile && !self.names.functions.contains(&method.to_string())
    }

    fn is_typed(&self, name: &Ident) -> bool {
        let name = name.to_string();
        let bound = self.scope.iter().any(|frame| frame.contains(&name));
        bound && !self.names.doubtful.contains(&name) && !self.names.glob_within_function
    }
}

fn gives_bool(op: &BinOp) -> bool {
    use BinOp::{And, Eq, Ge, Gt, Le, Lt, Ne, Or};
    matches!(
        op,
        And(_) | Eq(_) | Ge(_) | Gt(_) | Le(_) | Lt(_) | Ne(_) | Or(_)
    )
}

impl<'ast> Visit<'ast> for Casts {
    fn visit_file(&mut self, file: &'ast syn::File) {
        self.scope.push(BTreeSet::new());
        self.constants(&file.items);
        visit::visit_file(self, file);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let around = std::mem::take(&mut self.scope);
        self.within(|walk| {
            if let Some((_, items)) = &module.content {
                walk.constants(items);
            }
            visit::visit_item_mod(walk, module);
        });
        self.scope = around;
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.within(|walk| visit::visit_block(walk, block));
    }

    fn visit_local(&mut self, local: &'ast Local) {
        visit::visit_local(self, local);
        self.bind_typed(&local.pat);
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        visit::visit_item_const(self, item);
        if is_primitive(&item.ty) {
            self.bind(&item.ident);
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.within(|walk| {
            let inputs: &Punctuated<Pat, _> = &closure.inputs;
            inputs.iter().for_each(|input| walk.bind_typed(input));
            visit::visit_expr_closure(walk, closure);
        });
    }

    fn visit_expr_for_loop(&mut self, each: &'ast ExprForLoop) {
        self.visit_expr(&each.expr);
        self.within(|walk| {
            if let Pat::Ident(name) = &*each.pat
                && counts(&each.expr)
            {
                walk.bind(&name.ident);
            }
            walk.visit_block(&each.body);
        });
    }

    fn visit_item_use(&mut self, _: &'ast ItemUse) {}

    fn visit_expr_cast(&mut self, cast: &'ast ExprCast) {
        let target = named(&cast.ty);
        let message = if target.is_some_and(|name| is_one_of(name, &FLOATS)) {
            None
        } else if target.is_some_and(|name| is_one_of(name, &OTHERS)) {
            let doubt = "this cast to an integer could be the address of a function: its operand is no number by its form";
            (!self.is_number(&cast.expr)).then_some(doubt)
        } else {
            Some("`as` takes a primitive number by its name, like f64 or usize")
        };
        if let (None, Some(message)) = (&self.offence, message) {
            self.offence = Some(Offence::at(&cast.span(), message));
        }
        visit::visit_expr_cast(self, cast);
    }
}
