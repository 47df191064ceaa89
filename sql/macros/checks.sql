-- One check of a stage each: what it is called, what was measured, the limit, and whether the measure is past it. A
-- measure that is NULL does not fail.
CREATE MACRO at_least(rule, score, threshold) AS {
    'rule': rule, 'score': score::DOUBLE, 'threshold': threshold::DOUBLE, 'fails': score < threshold
};

CREATE MACRO at_most(rule, score, threshold) AS {
    'rule': rule, 'score': score::DOUBLE, 'threshold': threshold::DOUBLE, 'fails': score > threshold
};

-- The first of a list of checks that fails, or NULL.
CREATE MACRO first_failure(checks) AS list_filter(checks, lambda part: part.fails)[1];
