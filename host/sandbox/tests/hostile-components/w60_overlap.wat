;; expect: probe/gradient
;; note: losses and gradients are one list
;; slot lists
(local.set $losses (call $bump (local.get $bytes))) (local.set $gc (local.get $losses)) (local.set $gr (local.get $losses))
