/* The gradient is that of the loss, by finite differences; and a surer teacher counts for more. */
#include "@ID@.c"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { CLASSES = 3, ROWS = 2 };

typedef struct problem {
    float labelled[ROWS * CLASSES], student[ROWS * CLASSES], teacher[ROWS * CLASSES];
    float labelled_grad[ROWS * CLASSES], student_grad[ROWS * CLASSES], weights[ROWS];
    int32_t labels[ROWS], pseudo_labels[ROWS];
} problem;

static double run(void *self, problem *p) {
    nas_ssl_batch batch = {.size = sizeof batch,
                           .steps = 10,
                           .classes = CLASSES,
                           .labelled = ROWS,
                           .unlabelled = ROWS,
                           .labels = p->labels,
                           .labelled_logits = p->labelled};
    nas_ssl_result result = {.size = sizeof result,
                             .labelled_grad = p->labelled_grad,
                             .pseudo_labels = p->pseudo_labels,
                             .weights = p->weights};
    nas_error err = {0};
    batch.student[NAS_VIEW_STRONG] = p->student;
    batch.teacher[NAS_VIEW_WEAK] = p->teacher;
    result.student_grad[NAS_VIEW_STRONG] = p->student_grad;
    memset(p->labelled_grad, 0, sizeof p->labelled_grad);
    memset(p->student_grad, 0, sizeof p->student_grad);
    assert(loss(self, &batch, &result, &err) == NAS_OK);
    return result.loss;
}

/* Compares a gradient with central differences of the loss by each logit. */
static void check(void *self, problem *p, float *logits, const float *gradient) {
    const float step = 1e-2f;
    for (int i = 0; i < ROWS * CLASSES; i++) {
        float kept = logits[i];
        logits[i] = kept + step;
        double above = run(self, p);
        logits[i] = kept - step;
        double below = run(self, p);
        logits[i] = kept;
        run(self, p);
        assert(fabs((above - below) / (2 * (double)step) - (double)gradient[i]) < 1e-4);
    }
}

int main(void) {
    const config given = {.power = 2, .weight = 0.7};
    problem p = {.labelled = {1, -1, 0.5f, 0, 2, -0.5f},
                 .student = {0.3f, -0.2f, 0.1f, 1, 0.4f, -2},
                 .teacher = {3, 0, 0, 0.1f, 0, 0.3f},
                 .labels = {2, 1}};
    void *self = NULL;
    nas_error err = {0};
    assert(create(NULL, &given, &self, &err) == NAS_OK);
    run(self, &p);
    assert(p.pseudo_labels[0] == 0 && p.pseudo_labels[1] == 2);
    assert(p.weights[0] > p.weights[1] && p.weights[1] > 0);
    check(self, &p, p.labelled, p.labelled_grad);
    check(self, &p, p.student, p.student_grad);
    destroy(self);
    destroy(NULL);
    return 0;
}
