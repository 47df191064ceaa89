-- Drop the sources that make a probe worse on dev, or weigh all by how much they help: each is tried on top of the target
-- (add), or left out of all (leave), at the same budget. Without dev, parts of the target judge probes of the others. A
-- source goes only where its value is below 0 by more than z standard errors, so few documents of dev seldom drop one.
-- Documents without a label are kept.
-- :action    VARCHAR  'drop'  drop|weight  what is reliably of no help, or keep everything and weigh it
-- :z         FLOAT    1.645   [0, inf)  standard errors below 0 at which a source is dropped: 1.645 errs in one of 20
-- :strength  FLOAT    5       [0, inf)  a source's weight is exp(strength · value), with a mean of 1 over the sources
-- :design    VARCHAR  'add'   add|leave  what a source does by itself, or what it has that the others have not
-- :budget    INTEGER  1000    [1, inf)  candidates that a probe is trained on
-- :draws     INTEGER  5       [2, inf)  samples of them
-- :c         FLOAT    100     (0, inf)  inverse of the strength of the penalty on the probe's weights
-- :folds     INTEGER  5       [2, inf)  parts of the target that judge where there is no dev
-- :seed      INTEGER  0       draws samples and parts
WITH valued AS (
    SELECT source, value, -$z * standard_error AS threshold, weight
    FROM source_value(
        'target', 'dev', 'candidates', design := $design, budget := $budget, draws := $draws, strength := $strength,
        c := $c, folds := $folds, seed := $seed
    )
),
decided AS (
    SELECT *, $action = 'drop' AND coalesce(value < threshold, false) AS is_harmful
    FROM valued
)
SELECT
    c.corpus,
    c.id,
    NOT (d.is_harmful AND c.label IS NOT NULL) AS keep,
    CASE WHEN d.is_harmful AND c.label IS NOT NULL THEN 'no help from source ' || c.source END AS rule,
    d.value AS score,
    CASE WHEN $action = 'drop' THEN d.threshold END AS threshold,
    CASE WHEN $action = 'weight' AND c.label IS NOT NULL THEN c.weight * d.weight END AS weight,
    CASE
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN d.value IS NULL THEN 'its source has nothing to learn from, or there is nobody to judge it'
    END AS reason
FROM candidates AS c
JOIN decided AS d ON d.source IS NOT DISTINCT FROM c.source
