//! Casts by `as`: the half of `source/no-pointers` that walks the tree.
//!
//! A function's address is a number to whoever casts it to an integer, and functions come as names, as pointers that a
//! match or an array makes of two of them, and out of structs, tuples and calls. Types are not known here, so a cast to an
//! integer is allowed only from what is a number by its form: a literal, arithmetic on such, a cast to a float (which the
//! compiler refuses to functions), a length, a hyperparameter or a field of a pair, a variant of an enum without fields, a
//! call of one of the file's own functions that says that it returns one, and names that the function itself gives a primitive type, or binds to one of these, wherever it binds them. A cast to
//! a float needs nothing, and another target is refused.

mod names;

use std::collections::BTreeSet;

use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    BinOp, Block, Expr, ExprCall, ExprCast, ExprClosure, ExprForLoop, ExprPath, FnArg,
    GenericParam, Generics, Ident, ImplItemFn, Item, ItemConst, ItemFn, ItemImpl, ItemMod, ItemUse,
    Local, Pat, PatType, Path, Signature, Type,
};

use self::names::{Names, Returned, Types, is_plain};
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

/// Walks after which names that are bound to each other are not followed any further.
const WALKS_MAX: usize = 4;

pub(super) fn first_offence(parsed: &Parsed) -> Option<Offence> {
    let mut names = Names::of(&parsed.file, Types::of(&parsed.file));
    // A name that turns out to be bound to no number takes others with it, also such as were walked over before.
    for _ in 0..WALKS_MAX {
        let n_doubtful = names.doubtful.len();
        let walked = Casts::over(parsed, names);
        if walked.names.doubtful.len() == n_doubtful {
            return walked.offence;
        }
        names = walked.names;
    }
    names.doubtful.extend(names.untyped.iter().cloned());
    Casts::over(parsed, names).offence
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

/// By its name, which no other type has: `source/no-unsound-types` sees to it.
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

/// Walks the functions with the names in scope that stand for numbers and for values of enums.
struct Casts {
    names: Names,
    form: Form,
    scope: Vec<BTreeSet<String>>,
    /// The enum of the file whose methods these are.
    self_enum: Option<String>,
    offence: Option<Offence>,
}

impl Casts {
    fn over(parsed: &Parsed, names: Names) -> Self {
        let mut casts =
            Casts { names, form: parsed.form, scope: Vec::new(), self_enum: None, offence: None };
        casts.visit_file(&parsed.file);
        casts
    }

    fn bind(&mut self, name: &Ident) {
        if let Some(frame) = self.scope.last_mut() {
            frame.insert(name.to_string());
        }
    }

    fn bind_typed(&mut self, typed: &PatType) {
        if let Pat::Ident(name) = &*typed.pat
            && self.casts(&typed.ty)
        {
            self.bind(&name.ident);
        }
    }

    /// The parameters of a function or an implementation that are values.
    fn bind_generics(&mut self, generics: &Generics) {
        for parameter in &generics.params {
            if let GenericParam::Const(parameter) = parameter
                && is_primitive(&parameter.ty)
            {
                self.bind(&parameter.ident);
            }
        }
    }

    /// Whether values of this type are numbers, or cast to theirs.
    fn casts(&self, written: &Type) -> bool {
        is_primitive(written) || self.names.types.is_enum(written)
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
            walk.bind_generics(&signature.generics);
            for input in &signature.inputs {
                if let FnArg::Typed(typed) = input {
                    walk.bind_typed(typed);
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
                && self.casts(&item.ty)
            {
                self.bind(&item.ident);
            }
        }
    }

    /// Whether it is a number by its form, or a value of an enum without fields. The latter only by itself: what its
    /// operators and methods return is for the file to say.
    fn is_castable(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Paren(inner) => self.is_castable(&inner.expr),
            Expr::Unary(of) if matches!(of.op, syn::UnOp::Deref(_)) => self.is_self(&of.expr),
            Expr::Path(ExprPath { qself: None, path, .. }) => {
                let is_bound = path.get_ident().is_some_and(|name| self.is_bound(name));
                is_bound || self.is_variant(path) || self.is_self(expr)
            }
            Expr::Call(call) if self.returned(call).is_some() => true,
            _ => self.is_number(expr),
        }
    }

    /// What a call of one of the file's own functions is. Nothing else may have the function's name.
    fn returned(&self, call: &ExprCall) -> Option<Returned> {
        let name = match &*call.func {
            Expr::Path(of) if of.qself.is_none() => of.path.get_ident()?.to_string(),
            _ => return None,
        };
        let is_taken = self.names.doubtful.contains(&name) || self.names.glob_within_function;
        let returned = self.names.returning.get(&name).copied();
        returned.filter(|_| !is_taken)
    }

    fn is_self(&self, expr: &Expr) -> bool {
        self.self_enum.is_some() && matches!(expr, Expr::Path(path) if path.path.is_ident("self"))
    }

    /// `Enum::Variant`, and `Self::Variant` in its own methods.
    fn is_variant(&self, path: &Path) -> bool {
        let segments: Vec<_> = path.segments.iter().collect();
        let [of, variant] = segments.as_slice() else {
            return false;
        };
        let is_plain = path.leading_colon.is_none()
            && of.arguments.is_none()
            && variant.arguments.is_none()
            && !self.names.glob_within_function;
        let of = match of.ident == "Self" {
            true => self.self_enum.clone(),
            false => Some(of.ident.to_string()),
        };
        let variants = of.and_then(|name| self.names.types.enums.get(&name));
        is_plain && variants.is_some_and(|names| names.contains(&variant.ident.to_string()))
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
                .is_some_and(|name| self.is_bound(name) && !self.is_of_enum(name)),
            Expr::Call(call) => self.returned(call) == Some(Returned::Number),
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

    /// To a number or a value of an enum, here and wherever else.
    fn is_bound(&self, name: &Ident) -> bool {
        let name = name.to_string();
        let bound = self.scope.iter().any(|frame| frame.contains(&name));
        let taken = self.names.doubtful.contains(&name) || self.names.functions.contains(&name);
        bound && !taken && !self.names.glob_within_function
    }

    fn is_of_enum(&self, name: &Ident) -> bool {
        self.names.of_enums.contains(&name.to_string())
    }
}

fn gives_bool(op: &BinOp) -> bool {
    use BinOp::{And, Eq, Ge, Gt, Le, Lt, Ne, Or};
    matches!(op, And(_) | Eq(_) | Ge(_) | Gt(_) | Le(_) | Lt(_) | Ne(_) | Or(_))
}

impl<'ast> Visit<'ast> for Casts {
    fn visit_file(&mut self, file: &'ast syn::File) {
        self.scope.push(BTreeSet::new());
        self.constants(&file.items);
        visit::visit_file(self, file);
    }

    /// What a module calls by the name of an enum or a function of the file may be another's.
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let around = std::mem::take(&mut self.scope);
        let enums = std::mem::take(&mut self.names.types.enums);
        let returning = std::mem::take(&mut self.names.returning);
        self.within(|walk| {
            if let Some((_, items)) = &module.content {
                walk.constants(items);
            }
            visit::visit_item_mod(walk, module);
        });
        self.scope = around;
        self.names.types.enums = enums;
        self.names.returning = returning;
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let around = std::mem::take(&mut self.scope);
        self.scope.push(around.first().cloned().unwrap_or_default());
        self.bind_generics(&item.generics);
        let is_enum = self.names.types.is_enum(&item.self_ty);
        let of = named(&item.self_ty).filter(|_| is_enum);
        let around_self = std::mem::replace(&mut self.self_enum, of.map(Ident::to_string));
        visit::visit_item_impl(self, item);
        self.self_enum = around_self;
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
        match (&local.pat, &local.init) {
            (Pat::Type(typed), _) => self.bind_typed(typed),
            (Pat::Ident(name), Some(init)) if is_plain(name) => match self.is_number(&init.expr) {
                true => self.bind(&name.ident),
                false => {
                    self.names.doubtful.insert(name.ident.to_string());
                }
            },
            _ => {}
        }
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        visit::visit_item_const(self, item);
        if self.casts(&item.ty) {
            self.bind(&item.ident);
        }
    }

    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        self.within(|walk| {
            let inputs: &Punctuated<Pat, _> = &closure.inputs;
            for input in inputs {
                if let Pat::Type(typed) = input {
                    walk.bind_typed(typed);
                }
            }
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
            (!self.is_castable(&cast.expr)).then_some(doubt)
        } else {
            Some("`as` takes a primitive number by its name, like f64 or usize")
        };
        if let (None, Some(message)) = (&self.offence, message) {
            self.offence = Some(Offence::at(&cast.span(), message));
        }
        visit::visit_expr_cast(self, cast);
    }
}
