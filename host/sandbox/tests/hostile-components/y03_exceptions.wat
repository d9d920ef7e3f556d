;; expect: component/proposals
;; note: throws an exception
;; slot items
(tag $t) (func $thrower (throw $t))
