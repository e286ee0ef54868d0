"""Radiographs as DICOM files, written by pydicom as a detector or an archive would."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


def write_radiograph(path, pixels, *, bits=12, signed=False, storage=ComputedRadiographyImageStorage, **tags):
    """Write rows x columns (x colours) as one image.

    Args:
        path: of the file.
        pixels: 8 or 16 bit.
        bits: that are stored.
        signed: whether values may be below 0.
        storage: SOP class.
        **tags: what else the file says, by pydicom's keywords; these win.
    """
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = storage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Modality, data.SeriesInstanceUID, data.StudyInstanceUID = "CR", "1.2.3", "1.2"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    data.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits - 1, int(signed)
    data.PixelData = pixels.tobytes()
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)
    return path
