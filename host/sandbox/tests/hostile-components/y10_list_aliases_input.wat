;; expect: accepted probe/gradient
;; note: the losses are written over the policy's log-probs, row by row: harmless
;; slot lists
(local.set $losses (local.get $rr))
(local.set $gc (call $bump (local.get $bytes)))
(local.set $gr (call $bump (local.get $bytes)))
