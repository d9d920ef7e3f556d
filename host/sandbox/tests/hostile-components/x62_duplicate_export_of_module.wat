;; expect: component/valid
;; note: a module that exports one name twice
;; slot items
(export "describe" (func $bump))
