# All classes in turn, and of each one of its images (MMDetection's ClassAwareSampler), in an order
# that can begin anywhere.
class_aware = dict(
    train_dataloader=dict(sampler=dict(type='ExactClassAwareSampler', num_sample_class=1))
)
